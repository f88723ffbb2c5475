"""Jobs of random plans end as the simple model says, whoever advances them and whenever."""

from __future__ import annotations

import os
import random

import pytest

from tests.client import Client
from tests.plans.random_dags.by_hand import run_by_hand
from tests.plans.random_dags.crowd import run_crowd
from tests.plans.random_dags.draw import STAGES, random_dag
from tests.plans.random_dags.model import Dag, Stage, play

#: To try others: STAGEBUS_DAG_SEEDS="7 8 9".
SEEDS = [int(seed) for seed in os.environ.get("STAGEBUS_DAG_SEEDS", "1 2").split()]


@pytest.mark.parametrize("seed", SEEDS)
def test_advanced_by_hand_from_three_sessions(client: Client, seed: int) -> None:
    run_by_hand(client, seed, rounds=10)


@pytest.mark.parametrize("seed", SEEDS)
def test_advanced_by_six_threads_at_once(client: Client, seed: int) -> None:
    run_crowd(client, seed)
