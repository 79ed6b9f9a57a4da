"""The end of a step on a device that goes through many steps by itself."""

from __future__ import annotations

from fastnet._kernels.kinds import count, integer, update_float64, update_int64
from fastnet._kernels.template import template


@template()
def end_step(
    rows: update_int64, first: update_int64, iteration: update_int64, nonfinite: update_int64, stopped: update_int64,
    done: update_int64, rate: update_float64, batch: count, total: count, rates: count, rates_count: count,
    status: integer,
):  # fmt: skip
    # As the CPU's runner does: the step that has ended is counted, the next one begins. A run whose last step was not
    # finite ends with `status`; steps that were started behind it do not happen.
    if stopped[0] == 0:
        first[0] = first[0] + rows[0]
        iteration[0] = iteration[0] + 1
        done[0] = done[0] + 1
        if nonfinite[0] != 0:
            stopped[0] = status
        else:
            rows[0] = min(batch, total - first[0])
            if rates != 0 and rates_count > 0:
                rate[0] = address_pointer_float64(rates)[min(done[0], rates_count - 1)]


@template()
def check(nonfinite: update_int64, stopped: update_int64, status: integer):
    # the step does not happen, and no launch does anything from now on
    if stopped[0] == 0 and nonfinite[0] != 0:
        stopped[0] = status


#: They look at STOPPED themselves: threads of a block that looked while one of these writes would see it too early.
UNGUARDED = (end_step, check)
