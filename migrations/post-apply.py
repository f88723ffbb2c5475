"""Replays sql/ after migrations were applied, so that plain `yoyo apply` leaves a whole system."""

from yoyo import step

from bridge.replay import replay_code

step(replay_code)
