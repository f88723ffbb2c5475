"""Defects in who is published first, and how fast."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TURNS = "tests/dispatch/test_turns.py"
RATES = "tests/dispatch/test_rate_limits.py"

CLAIM_BATCHES = "sql/20_dispatch/claim_batches.sql"
NOTE_TURN = "sql/20_dispatch/note_turn.sql"

MUTANTS = (
    Mutant(
        "nobody-looks-for-the-oldest",
        CLAIM_BATCHES,
        """        if v_everything and random() < 0.125 then
            for v_batch in
""",
        """        if false then
            for v_batch in
""",
        "a large job waits for as long as somebody makes small ones",
        (
            f"{TURNS}::test_a_look_at_everything_may_take_the_oldest_first",
            f"{TURNS}::test_every_batch_is_claimed_in_the_end_whatever_is_made_and_set",
        ),
    ),
    Mutant(
        "claims-do-not-go-back",
        CLAIM_BATCHES,
        "            or v_last < v_destination.looked_from and v_left = 0\n",
        "",
        "of a stage that took long to commit one batch goes out every two seconds",
        (f"{TURNS}::test_what_is_committed_very_late_is_found_by_a_look_at_everything",),
    ),
    Mutant(
        "claims-begin-at-the-last-turn",
        NOTE_TURN,
        "            looked_from = least(d.turn, p_turn),\n",
        "            looked_from = p_turn,\n",
        "what a transaction made while the turn moved on waits for a look at everything",
        (f"{TURNS}::test_what_is_committed_late_is_found_by_the_next_quick_look",),
    ),
    Mutant(
        "a-turn-is-noted-over-another-claims",
        NOTE_TURN,
        "    where d.destination = p_destination and d.turn = p_before\n",
        "    where d.destination = p_destination\n",
        "a claim that began earlier leads away from what another has just gone back to",
        (f"{TURNS}::test_a_turn_that_changed_meanwhile_is_not_noted",),
    ),
    Mutant(
        "a-rate-limit-is-not-shared",
        CLAIM_BATCHES,
        """and coalesce(d.paid_until <= v_now, true)
            for no key update skip locked);
""",
        """and coalesce(d.paid_until <= v_now, true));
""",
        "two bridges that look at once both take what one may",
        (f"{RATES}::test_of_two_claims_at_once_one_is_passed_over",),
    ),
    Mutant(
        "what-nobody-used-is-kept-for-ever",
        CLAIM_BATCHES,
        "            paid_until = greatest(d.paid_until, v_now - interval '1 second')\n",
        "            paid_until = greatest(d.paid_until, v_now - interval '1 hour')\n",
        "after a quiet hour a limited destination gets an hour's tasks at once",
        (f"{RATES}::test_after_a_pause_a_seconds_tasks_go_out_at_once",),
    ),
    Mutant(
        "a-new-limit-inherits-the-debt",
        "sql/50_operate/set_rate_limit.sql",
        "        paid_until = case when p_per_second is not null then v_now end\n",
        "        paid_until = greatest(d.paid_until, v_now)\n",
        "a limit that was far too low holds a destination back after it was raised",
        (f"{RATES}::test_a_limit_that_is_raised_counts_at_once",),
    ),
)
