"""BBR version 3, paced by a model of the path: draft-ietf-ccwg-bbr-06.

The names of the draft's functions are in the docstrings of those that do their work.  Of ECN the
draft says only that a mark must count as congestion (section 3.7): here a mark ends a probe, as too
many losses do.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from mypy_extensions import mypyc_attr

from testbed.stack.tcp.congestion.bbr.bounds import BETA, MARGIN, inflight_at_loss, too_high
from testbed.stack.tcp.congestion.bbr.cycle import Feedback, Memory, ProbeWait, State
from testbed.stack.tcp.congestion.bbr.model import Model
from testbed.stack.tcp.congestion.bbr.pipe import FullPipe, LossRanges
from testbed.stack.tcp.congestion.control import NO_THRESHOLD, Group, Loss, Sample
from testbed.stack.tcp.pacer import quantum

_NS: Final = 1_000_000_000
_FIRST_RTT_NS: Final = 1_000_000  # the assumed round-trip time before the first sample
_MIN_PIPE_SEGMENTS: Final = 4  # MinPipeCwnd
_OFFLOAD_QUANTA: Final = 3
_DRAIN_ROUNDS: Final = 3
# Pacing gain and window gain (section 5.6.1).
_GAINS: Final = {
    State.STARTUP: (2.77, 2.0),
    State.DRAIN: (0.5, 2.0),
    State.DOWN: (0.9, 2.0),
    State.CRUISE: (1.0, 2.0),
    State.REFILL: (1.0, 2.0),
    State.UP: (1.25, 2.25),
    State.PROBE_RTT: (1.0, 0.5),
}
_PROBE_BW: Final = frozenset({State.DOWN, State.CRUISE, State.REFILL, State.UP})
_ACCELERATING: Final = frozenset({State.STARTUP, State.REFILL, State.UP})
_LEAVING_ROOM: Final = frozenset({State.CRUISE, State.PROBE_RTT})


@mypyc_attr(allow_interpreted_subclasses=True)
class Bbr:
    """Sends at the rate that the path delivers, with about a bandwidth-delay product in flight.

    :ivar state: the state of the state machine.
    :ivar model: the model of the path.
    """

    proportional: ClassVar[bool] = False
    threshold: ClassVar[int] = NO_THRESHOLD

    __slots__ = ("_cautious", "_drain_round", "_feedback", "_idle", "_initial", "_limited_until",
                 "_loss_ranges", "_memory", "_pipe", "_probe_rtt_window", "_probing",
                 "_recovering", "_too_high", "_wait", "model", "mss", "pacing_rate", "state",
                 "window")  # fmt: skip

    def __init__(self, group: Group) -> None:
        del group
        self.mss = self.window = self.pacing_rate = 0
        self.state = State.STARTUP
        self.model = Model()
        self._pipe = FullPipe()
        self._loss_ranges = LossRanges()
        self._wait = ProbeWait()
        self._memory = Memory()
        self._feedback = Feedback.NONE
        self._initial = 0  # the initial window
        self._drain_round = 0
        self._probing = False  # samples belong to a probe for bandwidth: is_bw_probe_sample
        self._too_high = False  # the last probe was too high: prev_probe_too_high
        self._cautious = False  # the last probe ended early: prev_probe_precautionary
        self._limited_until = 0  # data sent before this much is delivered gives no sample
        self._probe_rtt_window = 0  # SaveProbeRTTCwnd
        self._idle = False  # sending has resumed after an idle time
        self._recovering = False

    def start(self, mss: int, segments: int) -> None:
        """Start with a window of segments, paced as if a round trip took 1 ms.

        The first ACK measures the round trip.
        """
        self.mss = mss
        self.window = self._initial = segments * mss
        self._pace_first(_FIRST_RTT_NS)

    def resize(self, mss: int) -> None:
        """Scale the window to another segment size."""
        self.window = max(mss, self.window // self.mss * mss)
        self.mss = mss

    def on_sent(self, octets: int, in_flight: int, now: int) -> None:
        """Pace at the path's rate after a silence (HandleRestartFromIdle, section 5.4)."""
        if in_flight > octets or self._recovering or not self.model.rate:
            return
        self._idle = True
        self.model.aggregation.restart(now)
        if self.state in _PROBE_BW:
            self._pace(1.0)
        elif self.state is State.PROBE_RTT and self.model.min_rtt.done(now, idle=True):
            self._end_probe_rtt(now)

    def on_ack(self, sample: Sample) -> None:
        """Update the model, the state, and the control parameters (UpdateOnACK, section 5.2.3)."""
        if sample.prior < self._limited_until:
            sample = msgspec.structs.replace(sample, app_limited=True)
        if not self.model.total and sample.smoothed:
            self._pace_first(sample.smoothed)
        if self._recovering and not sample.recovering:
            self.window = max(self.window, self._memory.window)
        self._recovering = sample.recovering
        for loss in sample.losses:
            self._lost(loss, sample)
        self._update_model(sample)
        self._update_state(sample)
        self.model.settle(sample)
        self._pace(_GAINS[self.state][0])
        self._set_window(sample)

    def on_loss(self, used: int, now: int) -> None:  # noqa: ARG002
        """Save the model at the start of loss recovery (OnEnterFastRecovery, section 5.6.4.4)."""
        self._remember()
        self.model.note_loss()
        self._recovering = True

    def on_timeout(self, used: int, now: int, *, again: bool) -> None:  # noqa: ARG002
        """Continue with one segment in flight (OnEnterRTO, section 5.6.4.4)."""
        if not again:
            self._remember()
        self._recovering = True
        self.window = self.mss

    def on_idle(self, timeouts: int, now: int) -> None:
        """Do nothing: the rate of the path is known (section 5.4.2)."""

    def on_undo(self) -> None:
        """Restore the state before the losses (HandleSpuriousLossDetection, section 5.5.11.2)."""
        self._recovering = False
        self.window = max(self.window, self._memory.window)
        self.model.latest.forgive()
        self._pipe.look()
        left = self._memory.restore(self.model.short, self.model.long)
        if left is State.STARTUP and self.state is not State.STARTUP:
            self._pipe.doubt()
            if self.state is not State.PROBE_RTT:
                self.state = State.STARTUP
        elif left is State.UP and self.state not in (State.UP, State.PROBE_RTT):
            self._refill()

    # Losses (section 5.5.10).

    def _lost(self, loss: Loss, sample: Sample) -> None:
        """Process a lost segment (HandleLostPacket, section 5.5.10.2)."""
        self.model.note_loss()
        self._loss_ranges.take(loss)
        selective = sample.selective
        if self._probing and too_high(loss.lost, loss.tx_in_flight, self.mss, selective=selective):
            self._went_too_high(inflight_at_loss(loss), sample.now, limited=loss.app_limited)

    def _lost_too_much(self, sample: Sample) -> bool:
        lost, flight = sample.lost_since, sample.tx_in_flight
        return too_high(lost, flight, self.mss, selective=sample.selective)

    def _went_too_high(self, inflight: int, now: int, *, limited: bool) -> None:
        """End a probe that caused congestion with this much in flight (HandleInflightTooHigh)."""
        self._too_high = True
        self._probing = False
        if not limited:
            self.model.long.limit(max(inflight, int(self._target * BETA)))
        if self.state is State.UP:
            self._memory.leave(State.UP)
            self._go_down(now)

    def _remember(self) -> None:
        """Save the state for an undo (SaveCwnd, SaveStateUponLoss)."""
        reduced = self._recovering or self.state is State.PROBE_RTT
        self._memory.keep_window(self.window, reduced=reduced)
        self._memory.keep(self.model.short, self.model.long)

    # The states (section 5.3).

    def _update_model(self, sample: Sample) -> None:
        """Update the measurements, and check whether the path is full (CheckFullBWReached)."""
        accelerating = self.state in _ACCELERATING
        starting = not self._pipe.reached
        gain = _GAINS[self.state][0]
        self.model.take(sample, self.window, gain, starting=starting, accelerating=accelerating)
        if self.model.rounds.begun and not sample.app_limited:
            self._pipe.take(sample.rate)

    def _update_state(self, sample: Sample) -> None:
        """Change the state if it is time."""
        if not self._pipe.reached:
            self._check_startup_losses(sample)
        if self.state is State.STARTUP and self._pipe.reached:
            self.state = State.DRAIN
            self._drain_round = self.model.rounds.count
        if self.state is State.DRAIN and self._drained(sample):
            self._go_down(sample.now)
        if self._pipe.reached and not self._end_feedback(sample):
            self._adapt_long_term(sample)
            if self.state in _PROBE_BW:
                self._go_on(sample)
        if self.model.min_rtt.look(sample.now) and self.state is not State.PROBE_RTT:
            # Use the shortest round-trip time so far: this sample may include a full queue.
            self._probe_rtt_window = max(self._bdp(_GAINS[State.PROBE_RTT][1]), self._min_pipe)
        self.model.min_rtt.take(sample.rtt, sample.now)
        self._check_probe_rtt(sample)

    def _check_startup_losses(self, sample: Sample) -> None:
        """Consider the path full if too much is lost (CheckStartupHighLoss, section 5.3.1.3)."""
        ended = self.model.latest.over and sample.recovering
        many = self._loss_ranges.many or not sample.selective
        if sample.marked or (ended and many and self._lost_too_much(sample)):
            self._memory.leave(State.STARTUP)
            self._pipe.fill()
            self.model.long.limit(max(self._bdp(), self.model.latest.delivered))
        if self.model.latest.over:
            self._loss_ranges.restart()

    def _drained(self, sample: Sample) -> bool:
        """Return whether the queue of STARTUP is drained (CheckDrainDone, section 5.3.2)."""
        late = self.model.rounds.count > self._drain_round + _DRAIN_ROUNDS
        return late or sample.in_flight <= self._with_quanta(self._bdp())

    def _end_feedback(self, sample: Sample) -> bool:
        """Record when ACKs start and stop to reflect a probe (AdaptLongTermModel, section 5.3.3.9).

        Return whether the next probe starts at once, as the last one was cautious and did no harm.
        """
        if not self.model.rounds.begun:
            return False
        if self._feedback is Feedback.STARTING:
            self._feedback = Feedback.COMING
        elif self._feedback is Feedback.STOPPING:
            self._probing = False
            self._feedback = Feedback.NONE
            if self.state not in _PROBE_BW:
                return False
            if not sample.app_limited:
                self.model.bandwidth.advance()
            if self._cautious and not self._too_high:
                self._refill()
                return True
        return False

    def _adapt_long_term(self, sample: Sample) -> None:
        """Update the safe limits from a sample (AdaptLongTermModel)."""
        if sample.marked and (self._probing or self.state is State.REFILL):
            self._went_too_high(sample.tx_in_flight, sample.now, limited=sample.app_limited)
        elif self.model.long.known and not self._lost_too_much(sample):
            self.model.long.raise_to(sample.tx_in_flight)
            if self.state is State.UP and self._limited_by_long_term(sample):
                self.model.long.grow(sample.delivered, self.mss)
                if self.model.rounds.begun:
                    self.model.long.steeper(self.window, self.mss)

    def _go_on(self, sample: Sample) -> None:
        """Advance the cycle of bandwidth probes (UpdateProbeBWCyclePhase)."""
        state = self.state
        if state is State.REFILL:
            if self.model.rounds.begun:
                self._go_up(sample)
        elif state is State.UP:
            if self._is_time_to_go_down(sample):
                self._too_high = False
                self._go_down(sample.now)
        elif self._wait.over(sample.now, self.model.rounds.count, self._target // self.mss):
            self._refill()
        elif state is State.DOWN and self._is_time_to_cruise(sample):
            self.state = State.CRUISE

    def _go_down(self, now: int) -> None:
        """Drain the queue of a probe (StartProbeBW_DOWN)."""
        self.model.latest.restart()
        self.model.long.stop()
        self._wait.begin(now, self.model.rounds.count)
        self._feedback = Feedback.STOPPING
        self.model.begin_round()
        self.state = State.DOWN

    def _refill(self) -> None:
        """Fill the path before it is probed (StartProbeBW_REFILL)."""
        self.model.short.reset()
        self.model.long.refill()
        self._cautious = False
        self._feedback = Feedback.REFILLING
        self.model.begin_round()
        self.state = State.REFILL

    def _go_up(self, sample: Sample) -> None:
        """Probe for more bandwidth (StartProbeBW_UP)."""
        self._probing = True
        self._feedback = Feedback.STARTING
        self.model.begin_round()
        self._pipe.look(sample.rate)
        self.model.long.steeper(self.window, self.mss)
        self.state = State.UP

    def _is_time_to_cruise(self, sample: Sample) -> bool:
        """Return whether there is headroom and no queue (IsTimeToCruise)."""
        if sample.in_flight > max(self.model.long.with_headroom(self.mss), self._min_pipe):
            return False
        return sample.in_flight <= self._with_quanta(self.model.bdp(self.model.bandwidth.value))

    def _is_time_to_go_down(self, sample: Sample) -> bool:
        """Return whether a probe is over (IsTimeToGoDown, section 5.3.3.7)."""
        if self._too_high and sample.in_flight >= self.model.long.inflight:
            self._cautious = True
            return True
        if self._limited_by_long_term(sample):
            self._pipe.look(sample.rate)
            return False
        return self._pipe.now

    def _limited_by_long_term(self, sample: Sample) -> bool:
        """Return whether the safe limit of former probes limits this probe."""
        return sample.cwnd_limited and self.window >= self.model.long.inflight

    # ProbeRTT (section 5.3.4).

    def _check_probe_rtt(self, sample: Sample) -> None:
        """Probe the shortest round trip if it is time (CheckProbeRTT, HandleProbeRTT)."""
        if self.state is not State.PROBE_RTT and self.model.min_rtt.expired and not self._idle:
            self._memory.keep_window(self.window, reduced=self._recovering)
            self.model.min_rtt.begin()
            self._feedback = Feedback.STOPPING
            self.model.begin_round()
            self.state = State.PROBE_RTT
        self._idle = False
        if self.state is not State.PROBE_RTT:
            return
        self._limited_until = sample.total + sample.in_flight  # MarkConnectionAppLimited
        little = sample.in_flight <= self._probe_rtt_window
        if self.model.min_rtt.hold(little=little, begun=self.model.rounds.begun, now=sample.now):
            self.model.begin_round()
        elif self.model.min_rtt.done(sample.now):
            self._end_probe_rtt(sample.now)

    def _end_probe_rtt(self, now: int) -> None:
        """Return to the previous operation (ExitProbeRTT, section 5.3.4.4)."""
        self.window = max(self.window, self._memory.window)
        self.model.short.reset()
        if self._pipe.reached:
            self._go_down(now)
            self.state = State.CRUISE
        else:
            self.state = State.STARTUP

    # Control of the sender (section 5.6).

    def _pace_first(self, rtt: int) -> None:
        """Pace by the initial window (InitPacingRate, section 5.6.2)."""
        self.pacing_rate = int(_GAINS[State.STARTUP][0] * self._initial * _NS / rtt)

    def _pace(self, gain: float) -> None:
        """Pace by the path's rate; only faster until it is full (SetPacingRateWithGain)."""
        rate = int(gain * self.model.rate * MARGIN)
        if rate and (self._pipe.reached or rate > self.pacing_rate):
            self.pacing_rate = rate

    def _set_window(self, sample: Sample) -> None:
        """Grow by acknowledged data, up to the target of the model (SetCwnd, section 5.6.4.6)."""
        most = self._bdp(_GAINS[self.state][1]) + self.model.aggregation.extra
        most = self._with_quanta(most)
        if self._pipe.reached:
            self.window = min(self.window + sample.delivered, most)
        elif self.window < most or sample.total < self._initial:
            self.window += sample.delivered
        self.window = max(min(self.window, self._most_window), self._min_pipe)

    @property
    def _most_window(self) -> int:
        """The bounds of the window from the state and the losses.

        BoundCwndForProbeRTT and BoundCwndForModel, sections 5.6.4.5 and 5.6.4.7.
        """
        most = self.model.short.inflight
        if self.state in _LEAVING_ROOM:
            most = min(most, self.model.long.with_headroom(self.mss))
        elif self.state in _PROBE_BW:
            most = min(most, self.model.long.inflight)
        if self.state is State.PROBE_RTT:
            most = min(most, self._probe_rtt_window)
        return most

    @property
    def _min_pipe(self) -> int:
        """The octets that keep a path busy while the receiver acknowledges every second segment."""
        return _MIN_PIPE_SEGMENTS * self.mss

    @property
    def _target(self) -> int:
        """The target of octets in flight, unless congestion has cut the window (TargetInflight)."""
        return min(self._bdp(), self.window)

    def _bdp(self, gain: float = 1.0) -> int:
        """Return a multiple of the bandwidth-delay product (BDPMultiple, section 5.6.4.2)."""
        model = self.model
        return self._initial if model.min_rtt.value is None else int(gain * model.bdp(model.rate))

    def _with_quanta(self, octets: int) -> int:
        """Return at least what bursts need at both ends (QuantizationBudget)."""
        burst = _OFFLOAD_QUANTA * quantum(self.pacing_rate, self.mss)
        octets = max(octets, burst, self._min_pipe)
        return octets + 2 * self.mss if self.state is State.UP else octets
