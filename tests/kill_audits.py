"""Kill audits at many moments and go on with them. A process of its own, run by test_faults: pytest's has threads.

    python kill_audits.py FOLDER KILLS SEED     FOLDER holds base/, adapter/ and pairs.jsonl

An audit is killed a few times, each time started again with the same command, and may end in the end. Prints one JSON
object: when it was killed, how many shards were finished then, and what was wrong afterwards.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

#: Kills of one audit before it may end.
CHAIN = 8
INTERRUPTS = 1


def prepare():
    """Import all that an audit imports, so that a fork starts at once; nothing may start a thread."""
    import altair as alt  # noqa: F401
    import peft  # noqa: F401
    import pydantic.type_adapter  # noqa: F401 - polars does
    import sklearn.metrics  # noqa: F401
    import torch
    import transformers.models.gemma3.modeling_gemma3  # noqa: F401

    import isogloss.auditing.run
    import isogloss.cli.app
    import isogloss.hidden_states.compute
    import isogloss.likelihoods.compute

    torch.set_num_threads(1)
    isogloss.hidden_states.store.SHARD_TEXTS = 8  # many shards of few texts


class Moments:
    """Counts what an audit does to files and models; at a chosen count, before or after the act, its process is hit."""

    def __init__(self, deadly, blow):
        self.acts, self.deadly, self.blow = [], deadly, blow

    def watch(self, home, name):
        act = getattr(home, name)

        def watched(*args, **kwargs):
            self.tick(f"before {name}")
            result = act(*args, **kwargs)
            self.tick(f"after {name} {args[-1] if args else ''}")
            return result

        setattr(home, name, watched)

    def tick(self, act):
        self.acts.append(act)
        if len(self.acts) == self.deadly:
            os.kill(os.getpid(), self.blow)


def child(folder, out, deadly, blow):
    """Run the audit of FOLDER in this process, and write down how many moments it had."""
    import isogloss.auditing.run_folder
    import isogloss.hidden_states.compute
    import isogloss.likelihoods.compute
    from isogloss.cli import app

    os.chdir(folder)
    log = os.open(out / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    # Charts and page take most of the time and are drawn by other libraries.
    isogloss.auditing.run_folder.write_figures = lambda audit, points, home: (
        home.mkdir(),
        (home / "a").write_text("a"),
    )
    isogloss.auditing.run_folder.page_html = lambda audit, points, sections, run: "page"
    moments = Moments(deadly, blow)
    for home, name in (
        (os, "fsync"),
        (os, "replace"),
        (os, "unlink"),
        (os, "ftruncate"),
        (isogloss.hidden_states.compute, "hidden_states"),
        (isogloss.likelihoods.compute, "text_bits"),
    ):
        moments.watch(home, name)
    sys.argv = ["isogloss", "audit", "--reference", "base", "--aligned", "base+adapter", "--corpus", "pairs.jsonl"]
    sys.argv += [
        "--layers",
        "1,final",
        "--permutations",
        "100",
        "--metrics",
        "between_class_variance",
        "--workers",
        "1",
    ]
    sys.argv += ["--controls", "bits_per_character", "--device", "cpu"]
    sys.argv += ["--out", str(out / "run"), "--store", str(out / "store")]
    try:
        app.main()
    finally:
        (out / "moments").write_text(json.dumps(moments.acts))


def start(folder, out, deadly=0, blow=signal.SIGKILL):
    out.mkdir(exist_ok=True)
    if pid := os.fork():
        return pid
    code = 99
    try:
        child(folder, out, deadly, blow)
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        if code == 99:
            traceback.print_exc()
        os._exit(code)  # a fork must not run what its parent has registered for the end


def end(pid):
    """Exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def finished_shards(out):
    """Whole shards, with what would change if one were written again."""
    from isogloss.hidden_states.shard import is_whole

    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (out / "store").rglob("*.safetensors")
        if not path.name.startswith(".") and is_whole(path)
    }


class Report:
    """What was done and what was wrong."""

    def __init__(self, folder, rng):
        self.folder, self.rng = folder, rng
        self.killed, self.kept, self.faults = [], [], []
        began = time.monotonic()
        self.run(folder / "calm")
        self.seconds = time.monotonic() - began
        self.moments = len(self.acts())
        self.expected = (folder / "calm" / "run" / "audit.json").read_bytes()

    def acts(self):
        """What the undisturbed audit did, in order."""
        return json.loads((self.folder / "calm" / "moments").read_text())

    def run(self, out, *, hit=start, expected=(0,)):
        """Run the audit again; no shard that was finished may be written again, or be gone."""
        before = finished_shards(out)
        code = end(hit(self.folder, out))
        now = finished_shards(out)
        self.faults += [f"{path}: not the file that it was" for path, file in before.items() if now.get(path) != file]
        if code not in expected:
            self.faults.append(f"exit code {code}: {(out / 'log').read_text()[-2000:]}")
        return code

    def kill(self, out, when=None):
        """Kill the audit at this act, or at any, or after a time; True if it had ended by then."""
        if when is None and self.rng.random() < 2 / 3:
            when = self.rng.randrange(1, 2 * self.moments // CHAIN)
        if when is not None:

            def hit(folder, out):
                return start(folder, out, when)
        else:
            when = self.rng.uniform(0, self.seconds)

            def hit(folder, out):
                pid = start(folder, out)
                time.sleep(when)
                os.kill(pid, signal.SIGKILL)  # one that has ended stays until we ask for its exit code
                return pid

        survived = self.run(out, hit=hit, expected=(0, -signal.SIGKILL)) == 0
        if not survived:
            self.killed.append(when)
            self.kept.append(len(finished_shards(out)))
        return survived

    def interrupt(self, out):
        """Press Ctrl-C in the middle."""
        when = self.rng.randrange(self.moments // 4, self.moments // 2)
        self.run(out, hit=lambda folder, out: start(folder, out, when, signal.SIGINT), expected=(130,))
        if not (out / "log").read_text().endswith("isogloss: interrupted; run the same command to go on\n"):
            self.faults.append(f"after Ctrl-C: {(out / 'log').read_text()[-500:]}")

    def compare(self, out):
        """Compare what an audit that ended has left with what an undisturbed one leaves."""
        if (out / "run" / "audit.json").read_bytes() != self.expected:
            self.faults.append(f"{out.name}: another audit.json")
        if left := [path.name for path in (out / "run").iterdir() if path.name.startswith(".")]:
            self.faults.append(f"left in the run folder: {left}")
        shutil.rmtree(out)

    def sabotage(self, out):
        """Show that a shard that is computed twice would be noticed: none is taken over from a killed writer."""
        import isogloss.hidden_states.store

        renamed = next(
            i for i, act in enumerate(self.acts()) if act.startswith("after replace") and "safetensors" in act
        )
        self.run(out, hit=lambda folder, out: start(folder, out, renamed + 1), expected=(-signal.SIGKILL,))
        honest = isogloss.hidden_states.store._adopt_all
        isogloss.hidden_states.store._adopt_all = lambda folder: None
        before, self.faults = self.faults, []
        self.run(out)
        found, self.faults = self.faults, before
        isogloss.hidden_states.store._adopt_all = honest
        return found


def main(folder, kills, seed):
    prepare()
    report = Report(folder, random.Random(seed))
    # Where a killer by the clock seldom gets to: before the first shard, and when all is done but the last act.
    for number, when in enumerate((1, report.moments)):
        out = folder / f"end{number}"
        report.kill(out, when)
        report.run(out)
        report.compare(out)
    chains = 0
    while len(report.killed) < kills:
        chains += 1
        out = folder / f"chain{chains}"
        if not any(report.kill(out) for _ in range(CHAIN)):
            report.run(out)
        report.compare(out)
    for number in range(INTERRUPTS):
        report.interrupt(folder / f"interrupt{number}")
        report.run(folder / f"interrupt{number}")
        report.compare(folder / f"interrupt{number}")
    found = {"killed": report.killed, "kept": report.kept, "faults": report.faults}
    found |= {
        "sabotage": report.sabotage(folder / "sabotage"),
        "shards": len(finished_shards(folder / "calm")),
        "seconds": report.seconds,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]))
