"""What the operating system says of this process, under INFO's names."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Final

from ranvier.observe.info import Figure

_STATM: Final = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Resident size: now where /proc tells, else (without one, or without a free descriptor) the largest so far."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024


def fixed_figures() -> dict[str, Figure]:
    """What stays as it is while the process lives."""
    return {
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "process_id": os.getpid(),
        "executable": sys.executable,
        "total_system_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def current_figures() -> dict[str, Figure]:
    """Processor times in seconds, and the resident size. The thread's times are those of the caller's thread."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures: dict[str, Figure] = {
        "used_memory_rss": resident_bytes(),
        "used_cpu_sys": own.ru_stime,
        "used_cpu_user": own.ru_utime,
        "used_cpu_sys_children": children.ru_stime,
        "used_cpu_user_children": children.ru_utime,
    }
    if hasattr(resource, "RUSAGE_THREAD"):
        thread = resource.getrusage(resource.RUSAGE_THREAD)
        figures["used_cpu_sys_main_thread"] = thread.ru_stime
        figures["used_cpu_user_main_thread"] = thread.ru_utime
    return figures
