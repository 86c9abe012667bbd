"""Faults in Ray's workers, for faults_on_ray.py: what breaks, where and how often stands in a table of the test's own.

A worker calls `install` as it starts (Ray's `worker_process_setup_hook`), so the program itself knows nothing of it.

    python ray_hook.py ADDRESS FOLDER OUT     a driver of its own, to be killed
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

#: Folder with faults.json (a list of faults) and log (a line for each unit that was begun, and that was done).
FOLDER = "ISOGLOSS_TEST_FAULTS"
NOW = {"texts": ()}


def install():
    """Watch the actors of this process."""
    from isogloss.engines.ray_engine import _Actor

    start, run = _Actor.start, _Actor.run

    def watched_start(self, work, job):
        apply()
        return start(self, work, job)

    def watched_run(self, work, unit):
        NOW["texts"] = unit.texts
        name = f"{unit.job.label} {unit.language} {unit.text_ids[0]} {type(unit).__name__}"
        note(f"begun {name}")
        result = run(self, work, unit)
        note(f"done {name}")
        return result

    _Actor.start, _Actor.run = watched_start, watched_run


def note(line):
    log = os.open(folder() / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, f"{line}\n".encode())
    os.close(log)


def folder():
    return Path(os.environ[FOLDER])


def apply():
    """Put the faults between the extraction and the model, and between the store and the disk."""
    from isogloss.hidden_states import compute

    if not getattr(compute.hidden_states, "faulty", False):
        compute.hidden_states, os.fsync = faulty_model(compute.hidden_states), full_disk(os.fsync)


def faulty_model(hidden_states):
    def faulty(model, plan, wanted, **how):
        for fault in table("slow"):
            time.sleep(fault["seconds"])
        if any(how["execution"].token_budget > fault["budget"] for fault in table("memory")):
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory")
        found = hidden_states(model, plan, wanted, **how)
        if table("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        for fault in table("poison"):
            rows = [fault["text"] in text for text in NOW["texts"]]
            for state in (state for states in found.values() for state in states.values()):
                state[rows] = float("nan")
        return found

    faulty.faulty = True
    return faulty


def full_disk(fsync):
    def full(handle):
        if table("disk"):
            another_done()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return fsync(handle)

    return full


def another_done(seconds=120):
    """Wait until some unit is done, so that a disk fills in the midst of the work whichever worker comes first."""
    end = time.monotonic() + seconds
    while "done " not in (folder() / "log").read_text() and time.monotonic() < end:
        time.sleep(0.05)


def table(kind):
    """Faults of a kind that are due now: at a unit that holds their text, a number of times in all processes."""
    found = []
    for number, fault in enumerate(json.loads((folder() / "faults.json").read_text())):
        here = any(fault.get("text", "") in text for text in NOW["texts"])
        if fault["kind"] == kind and here and _claim(number, fault.get("times")):
            found.append(fault)
    return found


def _claim(number, times):
    if times is None:
        return True
    for time_ in range(times):
        try:
            (folder() / f"claimed-{number}-{time_}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def connect(address, place):
    """Connect this process as a driver whose workers have the faults of a folder."""
    import ray

    environment = {FOLDER: str(place), "OMP_NUM_THREADS": "1"}
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"worker_process_setup_hook": "ray_hook.install", "env_vars": environment},
    )


def drive(address, place, out):
    """Audit what the folder holds."""
    import faults_on_ray

    connect(address, place)
    faults_on_ray.audit(place.parent, out=out, store=out.with_name(f"{out.name}-store"), ray=True)


if __name__ == "__main__":
    drive(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
