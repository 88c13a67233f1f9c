"""One table of states: every place that shows one shows this."""

from __future__ import annotations

from pathlib import Path

from flatfiles_assets.warehouse.session_states import SESSION_STATES, STATES, states_table

ROOT = Path(__file__).parents[2]


def test_every_state_is_in_the_table_in_their_order():
    assert tuple(SESSION_STATES) == STATES


def test_marks_colours_and_words_tell_states_apart():
    states = SESSION_STATES.values()
    for facts in ({s.mark for s in states}, {s.colour for s in states}, {s.label for s in states}):
        assert len(facts) == len(STATES)
    assert all(len(state.mark) == 1 for state in states)


def test_only_a_present_session_has_nothing_to_do():
    assert [name for name, state in SESSION_STATES.items() if not state.next_step] == ["present"]


def test_the_front_doors_table_is_this_table():
    assert states_table() in (ROOT / "README.md").read_text(encoding="utf-8")
