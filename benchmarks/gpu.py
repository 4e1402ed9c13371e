"""Speed and training of the paper's network for pictures on one GPU, within a time budget.

    python benchmarks/gpu.py --images faces.npy --out DIR [--budget 480] [--seconds 240] [--device cuda]
    python benchmarks/gpu.py --out DIR --smoke --device cpu

First pictures a second of whole training steps: batch, losses, gradients, clipping and Adam; eager and compiled, in 32
bits and in mixed precision, called from Python and replayed as one CUDA graph. Then RaDOGAGA is trained from a random
start in the fastest way, for a while, and measured on held-out pictures before and after alignment.

All of it runs in processes beside this one. What fails or takes too long is noted, and another process goes on with the
rest. DIR/gpu.json is written anew after each measurement, and the program ends within the budget whatever happens. A
zip or a folder of pictures is prepared first, at 64 x 64 and by folder. --smoke: small networks and few steps.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils.flop_counter import FlopCounterMode

from gpu_training import Course, Setting, TrainingStep, Workload
from radogaga.experiments.image_isometry.analysis import analyse, rate_distortion_embedding
from radogaga.experiments.image_isometry.methods import fit_prior
from radogaga.experiments.runs import environment
from radogaga.images.prepare import prepare_images
from radogaga.method.alignment import align
from radogaga.method.noise import UniformNoise
from radogaga.method.objective import RateDistortion

BAR_SPEED, BAR_PICTURES, BAR_MINUTES = 40_000, 500_000 * 64, 15
# A forked process could not use the GPU if anything here has so much as asked for one.
SPAWN = multiprocessing.get_context("spawn")
# Seconds after which a measurement of speed is given up.
MAX_MEASUREMENT = 120.0
# A smaller batch gives more steps in the same time, and is taken if it is nearly as fast.
FAST_ENOUGH = 0.8

Fields = dict[str, Any]
Send = Callable[[Fields | None], None]


@dataclass(frozen=True)
class Machine:
    """What the figures were measured on, and how far gradients on it are from those on its CPU in 64 bits."""

    section = "machine"

    def __str__(self) -> str:
        return "machine"

    def run(self, work: Workload, send: Send) -> None:
        """Measure."""
        about: Fields = dict(environment()) | {"cores": os.cpu_count(), "device": work.device}
        if work.on_gpu:
            card = torch.cuda.get_device_properties(0)
            about |= {"memory_gib": card.total_memory / 2**30, "multiprocessors": card.multi_processor_count}
            about |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        send(about)
        model, x = work.start("mse-radogaga"), work.validation[:4]
        model.noise = UniformNoise(0.0)  # the same on both devices
        exact = _gradient(copy.deepcopy(model).cpu().double(), x, "fp32")
        x = x.to(work.device)
        for precision in ("fp32", "bf16"):
            found = _gradient(model, x, precision).to(exact)
            send({f"gradient_error_{precision}": float((found - exact).norm() / exact.norm())})
        with FlopCounterMode(display=False) as counter:
            _gradient(model, x, "fp32")
        send({"gflop_per_picture": counter.get_total_flops() / len(x) / 1e9})


def _gradient(model: RateDistortion, x: Tensor, precision: str) -> Tensor:
    """Return the gradient of the mean loss in all parameters, as one tensor."""
    model.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss = model(x).total.mean()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


@dataclass(frozen=True)
class Speed:
    """Pictures a second in one setting: steps called from Python and, where the setting says so, as a CUDA graph."""

    setting: Setting
    seconds: float
    section = "speed"

    def __str__(self) -> str:
        return str(self.setting)

    def run(self, work: Workload, send: Send) -> None:
        """Measure."""
        start = time.perf_counter()
        counters.clear()
        step = TrainingStep(work, replace(self.setting, graph=False))
        step.prepare()
        send(asdict(self.setting) | {"seconds_to_prepare": time.perf_counter() - start} | self._speed(step))
        if self.setting.compiled:
            send({"graph_breaks": sum(counters["graph_break"].values())})
        if self.setting.graph:
            step.capture()
            send({f"graph_{name}": figure for name, figure in self._speed(step).items()})

    def _speed(self, step: TrainingStep) -> Fields:
        """Return pictures a second, waiting for the device only now and then."""
        on_gpu = step.rate.is_cuda
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        seconds, steps = 0.0, 0
        while seconds < self.seconds:
            some = max(int(steps / seconds * self.seconds / 4), 1) if steps else 1
            start = time.perf_counter()
            for _ in range(some):
                step()
            step.means()
            seconds, steps = seconds + time.perf_counter() - start, steps + some
        speed: Fields = {"pictures_per_second": steps * self.setting.batch / seconds, "steps": steps}
        return speed | ({"memory_gib": torch.cuda.max_memory_allocated() / 2**30} if on_gpu else {})


@dataclass(frozen=True)
class Training:
    """A row of the experiment, trained for some seconds and measured before and after alignment."""

    setting: Setting
    seconds: float
    patience: float
    until: float
    section = "training"

    def __str__(self) -> str:
        return self.setting.row

    def run(self, work: Workload, send: Send) -> None:
        """Train and measure."""
        step = TrainingStep(work, self.setting)
        step.prepare()
        seconds = min(self.seconds, self.until - time.monotonic())
        if seconds < self.seconds / 20:
            raise TimeoutError(f"{max(seconds, 0):.0f} s are left to train, too few")
        course = Course(step, work.on_device(work.validation), seconds=seconds, patience=self.patience)
        course.run()
        send({"setting": str(self.setting)} | course.summary())
        model = step.model.to(memory_format=torch.contiguous_format).eval()
        # Gram matrices and alignment take small differences; and each of their shapes comes once.
        torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = False
        send({"before_alignment": _measured(model, work, self.setting.row)})
        align(model, work.train, fit_prior=lambda _: model.prior)
        send({"after_alignment": _measured(model, work, f"{self.setting.row}-aligned")})


def _measured(model: RateDistortion, work: Workload, name: str) -> Fields:
    """Return the experiment's figures of a row, and write its arrays as the experiment keeps them."""
    start = time.perf_counter()
    fit_prior(model, work.task(name))
    model.prior.to(work.device).eval()
    figures, arrays = analyse(rate_distortion_embedding(model), work.test, torch.device(work.device))
    np.savez_compressed(work.out / f"{name}.npz", **arrays)
    return figures | {"seconds_to_measure": time.perf_counter() - start}


Job = Machine | Speed | Training


class Results:
    """All that was measured, written anew after each measurement."""

    def __init__(self, path: Path, settings: Fields) -> None:
        self.path, self.settings = path, settings
        self.sections: dict[str, dict[str, Fields]] = {"machine": {}, "speed": {}, "training": {}}
        self.write()

    def add(self, job: Job, fields: Fields) -> None:
        """Add what is known of a job."""
        self.sections[job.section].setdefault(str(job), {}).update(fields)
        told = {name: value for name, value in fields.items() if name != "curve"}
        print(f"{job}: {json.dumps(_plain(told))}", flush=True)
        self.write()

    def write(self) -> None:
        """Write the file."""
        result = _plain({"settings": self.settings, "bars": self._bars(), **self.sections})
        self.path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")

    def speeds(self) -> list[tuple[float, Setting]]:
        """Return the speeds that were measured with their settings, the fastest first."""
        found = []
        for entry in self.sections["speed"].values():
            for graph, name in ((False, "pictures_per_second"), (True, "graph_pictures_per_second")):
                if name in entry:
                    setting = {key: entry[key] for key in ("row", "batch", "precision", "channels_last", "compiled")}
                    found.append((entry[name], Setting(**setting, graph=graph)))
        return sorted(found, key=lambda pair: -pair[0])

    def trained(self, row: str) -> bool:
        """Return whether a row was trained."""
        return "steps" in self.sections["training"].get(row, {})

    def _bars(self) -> Fields:
        speeds = [speed for speed, _ in self.speeds()]
        while_training = [row["pictures_per_second"] for row in self.sections["training"].values() if "steps" in row]
        minutes = [BAR_PICTURES / speed / 60 for speed in while_training]
        return {
            "pictures_per_second": {"bar": BAR_SPEED, "measured": max(speeds, default=None)},
            "minutes_for_500000_steps_of_64": {"bar": BAR_MINUTES, "measured": min(minutes, default=None)},
        }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: null for what is no number."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Runner:
    """Runs jobs one after the other in a process beside this one, which never touches the device itself."""

    def __init__(self, work: Workload, results: Results) -> None:
        self.work, self.results = work, results

    def run(self, jobs: Sequence[Job], *, until: float, at_most: float = math.inf) -> None:
        """Run jobs until a time of the monotonic clock, each for at most some seconds."""
        left = list(jobs)
        while left:
            if time.monotonic() >= until:
                self.results.add(left.pop(0), {"error": "not run: no time left"})
                continue
            receiver, sender = SPAWN.Pipe(duplex=False)
            process = SPAWN.Process(target=_work, args=(left, self.work, sender))
            process.start()
            sender.close()
            try:
                while left and self._finished(left[0], receiver, min(until, time.monotonic() + at_most)):
                    left.pop(0)
            except (TimeoutError, EOFError) as error:
                self.results.add(left[0], {"error": str(error) or "the process ended"})
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with what compiles for it
                process.kill()
                process.join()
            left = left[1:]

    def _finished(self, job: Job, receiver: Connection, until: float) -> bool:
        """Take in what is found of a job; return whether it was done without an error."""
        while receiver.poll(max(until - time.monotonic(), 0)):
            fields = receiver.recv()
            if fields is None:
                return True
            self.results.add(job, fields)
            if "error" in fields:
                return False
        raise TimeoutError("stopped: it took too long")


def _work(jobs: Sequence[Job], work: Workload, sender: Connection) -> None:
    """Do jobs and send what they find, None after each, or the error at which this process gives up."""
    os.setsid()
    torch.backends.cudnn.benchmark = True
    if not work.on_gpu:  # a trial, of small networks
        torch.set_num_threads(1)
    for job in jobs:
        try:
            job.run(work, sender.send)
        except Exception as error:  # whatever it is, the other measurements are to be made
            sender.send({"error": f"{type(error).__name__}: {error}"[:2000]})
            return
        sender.send(None)


def speed_jobs(batches: tuple[int, ...], seconds: float, *, on_gpu: bool) -> list[Speed]:
    """Return what is measured, what matters most first."""
    eager, compiled = Setting(graph=on_gpu), Setting(compiled="default", graph=on_gpu)
    plain = Setting(precision="fp32", channels_last=False), Setting(channels_last=False)
    settings = [replace(setting, batch=batch) for setting in (*plain, eager, compiled) for batch in batches]
    settings += [replace(setting, row="ssim-radogaga", batch=batches[0]) for setting in (eager, compiled)]
    if on_gpu:
        settings += [Setting(compiled="reduce-overhead", batch=batch) for batch in (batches[-1], batches[0])]
        settings += [Setting(compiled="max-autotune-no-cudagraphs", batch=batch) for batch in batches[:2]]
        settings += [Setting(compiled="default", batch=batches[0], channels_last=False)]
    return [Speed(setting, seconds) for setting in settings]


def fastest(results: Results, row: str) -> Setting:
    """Return the setting to train a row in: the smallest batch that is nearly as fast as the fastest."""
    speeds = results.speeds()
    speeds = [pair for pair in speeds if pair[1].row == row] or speeds or [(0.0, Setting(batch=1024))]
    fast = [setting for speed, setting in speeds if speed >= FAST_ENOUGH * speeds[0][0]]
    return replace(min(fast, key=lambda setting: setting.batch), row=row)


def prepared(path: Path) -> Path:
    """Return an array of pictures, made first of a zip or a folder of them."""
    if path.suffix == ".npy":
        return path
    array = Path(tempfile.mkdtemp()) / "pictures.npy"
    prepare_images(path, array, size=64, by_folder=True)
    return array


def started() -> float:
    """Return when this process started, imports included, on the monotonic clock."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="array that radogaga images prepare wrote, a zip or a folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--backend", help="of torch.compile; by default inductor on a GPU, aot_eager on a CPU")
    parser.add_argument("--budget", type=float, default=480, help="seconds after which the program has ended")
    parser.add_argument("--speed-share", type=float, default=1 / 3, help="share of them in which speed is measured")
    parser.add_argument("--seconds", type=float, default=240, help="seconds to train a row, at most")
    parser.add_argument("--patience", type=float, default=0.15, help="share of them without improvement, at most")
    parser.add_argument("--rows", default="mse-radogaga,ssim-radogaga", help="metric-model, trained in this order")
    parser.add_argument("--smoke", action="store_true", help="small networks and few steps")
    options = parser.parse_args()
    start = started()
    end = start + options.budget - 2
    on_gpu = torch.device(options.device).type == "cuda"
    options.backend = options.backend or ("inductor" if on_gpu else "aot_eager")
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out / "gpu.json", {name: str(value) for name, value in vars(options).items()})
    path = prepared(options.images) if options.images else None
    networks, prior_steps = ("small", 20) if options.smoke else ("paper", 300)
    work = Workload(path, options.out, options.device, options.backend, networks, prior_steps)
    runner = Runner(work, results)
    batches, seconds, analysis = ((8, 4), 0.1, 10.0) if options.smoke else ((1024, 4096, 256, 64), 2.0, 40.0)
    speeds = speed_jobs(batches, seconds, on_gpu=on_gpu)
    runner.run([Machine(), *speeds], until=start + options.speed_share * options.budget, at_most=MAX_MEASUREMENT)
    for row in options.rows.split(","):
        job = Training(fastest(results, row), options.seconds, options.patience * options.seconds, end - analysis)
        runner.run([job], until=end)
        if not results.trained(row):
            runner.run([replace(job, setting=replace(job.setting, compiled=None, graph=False))], until=end)
    sys.exit(not any(map(results.trained, options.rows.split(","))))


if __name__ == "__main__":
    main()
