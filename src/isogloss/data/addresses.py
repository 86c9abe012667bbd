"""Where a corpus is: a name, files, or a data set of the hub, with the options that hold for it alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path

from isogloss.data.corpus_options import parse_columns
from isogloss.data.describe import describe_path
from isogloss.data.languages import language_of_name
from isogloss.data.named_corpora import CORPORA, source
from isogloss.errors import CorpusError

#: Suffixes of files that can be read.
SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx")
#: Suffix of a compressed file -> the name of its compression.
COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
#: A data set on the hub: org/name[@revision][:config[/split]].
HUB_ID = re.compile(
    r"(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w./-]{1,200}))?(?::(?P<config>[^/\s:?*]+)(?:/(?P<split>[^/\s:?*]+))?)?"
)
#: What follows is options of this corpus alone.
_OPTIONS = re.compile(r"\?(?=[a-z_]+=)")
#: A tag with a script or a country, and two codes of which the second may be either.
_TAG = re.compile(r"[a-z]{2,3}(?:[-_](?:[A-Z][a-z]{3}|[A-Z]{2})){1,2}")
_TWO_CODES = re.compile(r"[a-z]{2}[-_][a-z]{2}")
_WORDS = re.compile(r"[_.\s-]+")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True)
class HubName:
    """A data set on the hub; None where nothing is said."""

    repo: str
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubName:
        """Read org/name[@revision][:config[/split]].

        >>> HubName.parse("org/name@v1:de/test").config
        'de'

        Raises:
            CorpusError: it is something else.
        """
        match = HUB_ID.fullmatch(text)
        if match is None:
            raise CorpusError(
                f"corpus {describe_path(text)}",
                found="another form",
                expected="org/name, org/name@revision or org/name:config/split",
                do="correct the name",
            )
        return cls(**match.groupdict())

    def at(self, revision: str) -> HubName:
        """Return the same data set at a revision, unless one is named already."""
        return self if self.revision else replace(self, revision=revision)

    def __str__(self) -> str:
        """Write it as it is read."""
        where = f"{self.repo}@{self.revision}" if self.revision else self.repo
        return f"{where}:{'/'.join(filter(None, (self.config, self.split)))}" if self.config else where


def split_options(address: str | Path) -> tuple[str | Path, dict[str, str]]:
    """Split an address from the --column options that hold for it alone.

    >>> split_options("de.csv?language==de&label=is_toxic")
    ('de.csv', {'language': '=de', 'label': 'is_toxic'})

    Raises:
        UsageError: an option has no equals sign.
    """
    if isinstance(address, Path) or not _OPTIONS.search(address) or path_exists(Path(address)):
        return address, {}
    where, options = _OPTIONS.split(address, maxsplit=1)
    return where, parse_columns(options.split("&"))


def is_named(address: str | Path) -> bool:
    """Whether an address is a name of CORPORA."""
    return isinstance(address, str) and address in CORPORA


def is_on_hub(address: str | Path) -> bool:
    """Whether an address has the form of a data set on the hub, and is no file."""
    return bool(HUB_ID.fullmatch(str(address))) and not path_exists(Path(address)) and not has_suffix(str(address))


def is_local(address: str) -> bool:
    """Whether an address names files that are on this machine."""
    where = split_options(address)[0]
    if is_named(where):
        return False
    matched = bool(_WILD.search(str(where))) and bool(_match(str(where)))
    return path_exists(Path(where)) or matched


def has_suffix(name: str) -> bool:
    """Whether a name ends like a file that can be read.

    >>> has_suffix("a.csv"), has_suffix("a.jsonl.GZ"), has_suffix("org/name")
    (True, True, False)
    """
    return name.lower().endswith((*SUFFIXES, *COMPRESSED))


def address_name(address: str | Path) -> str:
    """Return the name by which an audit knows a corpus; only the last step of a path is a name.

    >>> address_name("data/de.csv"), address_name("org/name:config"), address_name("texts/*.jsonl")
    ('de.csv', 'org/name:config', 'texts')
    """
    if is_named(address) or is_on_hub(address):
        return str(address)
    path = Path(address)
    if _WILD.search(path.name) and not path_exists(path):
        path = path.parent
    return path.name or path.absolute().name or "table"


def path_exists(path: Path) -> bool:
    """Whether a path exists; False for a path that is too long to be one."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def list_files(address: str | Path) -> list[Path]:
    """List the files that an address names: a file, all files of a folder, or those that a pattern matches.

    Raises:
        CorpusError: there are none.
    """
    path = Path(address)
    shown = describe_path(address)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if is_folder:
        files = sorted(file for file in path.iterdir() if file.is_file() and has_suffix(file.name))
        if not files:
            raise CorpusError(
                f"corpus {shown}", found="a folder without tables", expected=" ".join(SUFFIXES), do="name another"
            )
        return files
    if _WILD.search(str(address)) and not path_exists(path):
        files = _match(str(address))
        if not files:
            raise CorpusError(
                f"corpus {shown}", found="no such file", expected="files that the pattern matches", do="check it"
            )
        return files
    if not path.suffix and not path_exists(path) and len(str(address)) < len(shown) + 1 and "/" not in str(address):
        source(str(address))  # not a file name: say which corpora there are
    return [path]


def _match(pattern: str) -> list[Path]:
    """List the files that a pattern matches; Path.glob takes no absolute patterns."""
    return sorted(Path(name) for name in glob(pattern, recursive=True) if Path(name).is_file())  # noqa: PTH207


def languages_of_files(files: list[Path]) -> dict[Path, str]:
    """Return the languages that files are named by: `de.csv`, `toxic_de.csv`; of several files, by any word.

    Of several files, the words of one position must name languages that differ, as in `set-DE-test.csv` and
    `set-EN-test.csv`.

    Returns:
        file -> canonical code; empty unless every file is named by a language.
    """
    stems = {file: _stem(file) for file in files}
    fewest = min(len(_WORDS.split(stem)) for stem in stems.values())
    for position in range(-1, -fewest - 1, -1) if len(files) > 1 else (-1,):
        codes = {file: language_in_name(stem, position) for file, stem in stems.items()}
        if all(codes.values()) and (position == -1 or len(set(codes.values())) > 1):
            return {file: code for file, code in codes.items() if code}
    return {}


def language_in_name(name: str, position: int = -1) -> str | None:
    """Return the language that a name is, or that its word at a position is; None if it is none.

    >>> [language_in_name(name) for name in ("de", "zho_Hans", "toxic_de", "ptp-de", "zh-cn", "en_de", "my_set")]
    ['de', 'zh', 'de', 'de', 'zh', None, None]
    """
    words = _WORDS.split(name.strip())
    if len(words) == 1 or _TAG.fullmatch(name):
        return language_of_name(name)
    if _TWO_CODES.fullmatch(name):  # a language and a country, unless both are languages
        return None if language_of_name(words[1]) else language_of_name(name)
    word = words[position]
    code = language_of_name(word)
    long_code = len(word) == 3  # noqa: PLR2004 - ISO 639-3; many of these codes are also words
    return code if code and (not long_code or len(code) == 2) else None  # noqa: PLR2004 - ISO 639-1


def _stem(file: Path) -> str:
    name = file.name
    while any(name.lower().endswith(suffix) for suffix in (*SUFFIXES, *COMPRESSED)):
        name = Path(name).stem
    return name
