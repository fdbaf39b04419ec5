"""Every store passes the same suite, also when it is written in groups."""

from turnout.actors.journal.memory import MemoryStore
from turnout.actors.journal.sqlite import SqliteStore
from turnout.testing.faulty_journal import FaultyStore
from turnout.testing.journal_spec import JournalSpec


class TestMemory(JournalSpec):
    survives_reopening = False

    def open(self, folder):
        return MemoryStore()


class TestSqlite(JournalSpec):
    def open(self, folder):
        return SqliteStore(folder / "journal.db")


class TestFaultyWithoutFaults(JournalSpec):
    survives_reopening = False

    def open(self, folder):
        return FaultyStore()
