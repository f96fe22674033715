"""Fifty processes post at the same moment: one key is one lead, and no key with other words is fifty."""

import json
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Barrier

from booking.database import Database
from tests.faults.crowd import Answer, form, post
from tests.faults.ledger import assert_all_stored_once, leads_by_name, stored
from tests.service import Serving

Start = Callable[..., Serving]
PROCESSES = 50


def visit(port: int, fields: dict[str, str], key: str, together: Barrier, report: Connection) -> None:
    """What each process does: wait for the others, post, report."""
    together.wait(60)
    answer = post(port, fields, key=key)
    report.send(answer)


def storm(port: int, posts: list[tuple[dict[str, str], str]]) -> list[Answer]:
    """Each post from a process of its own, all at once."""
    forks = multiprocessing.get_context("fork")
    together = forks.Barrier(len(posts))
    listening: list[Connection] = []
    processes: list[ForkProcess] = []
    for fields, key in posts:
        ours, theirs = forks.Pipe(duplex=False)
        process = forks.Process(target=visit, args=(port, fields, key, together, theirs))
        process.start()
        theirs.close()
        listening.append(ours)
        processes.append(process)
    answers = [report.recv() for report in listening]
    for process in processes:
        process.join()
    for report in listening:
        report.close()
    return answers


def test_fifty_processes_with_one_key_are_one_lead_and_all_are_told_the_same(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    answers = storm(serving().port, [(form("anna"), "the one key")] * PROCESSES)
    assert {answer.status for answer in answers} == {201}
    assert len({answer.reference for answer in answers}) == 1
    assert len({json.loads(answer.text)["received_at"] for answer in answers}) == 1
    assert sum(answer.replayed for answer in answers) == PROCESSES - 1
    assert_all_stored_once({"anna": answers[0].reference}, database, environ)


def test_fifty_people_with_the_one_key_of_a_cached_page_are_fifty_leads(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    people = [f"person{number}" for number in range(PROCESSES)]
    answers = storm(serving().port, [(form(person), "the one key") for person in people])
    assert [answer.status for answer in answers] == [201] * PROCESSES
    assert not any(answer.replayed for answer in answers)
    thanked = {person: answer.reference for person, answer in zip(people, answers, strict=True)}
    assert len(set(thanked.values())) == PROCESSES
    assert_all_stored_once(thanked, database, environ)


def test_fifty_processes_without_a_key_and_with_the_same_words_are_one_lead(serving: Start, database: Database) -> None:
    answers = storm(serving().port, [(form("anna"), "")] * PROCESSES)
    assert {answer.status for answer in answers} == {201}
    assert leads_by_name(database) == {"anna": 1}
    assert set(stored(database)) == {answer.reference for answer in answers}


def test_twin_without_a_key_and_with_words_of_its_own_each_process_is_a_lead(
    serving: Start, database: Database
) -> None:
    words = [form("anna", message=f"words {number}") for number in range(PROCESSES)]
    answers = storm(serving().port, [(fields, "") for fields in words])
    assert not any(answer.replayed for answer in answers)
    assert leads_by_name(database) == {"anna": PROCESSES}
