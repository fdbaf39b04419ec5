# ruff: noqa: S608  (put together from names of ours; what varies is bound)
"""The statements of a trim. Each gives one row at most, as JSON where there is more to tell.

sqlite3 lets go of the interpreter in every step: a thousand rows, beside a busy main thread, would take
seconds. A row that is damaged is one event that nobody knows the time of.
"""

from .sqlite_reader import NAMES

_REQUESTS = "stream >= 'request/' AND stream < 'request0'"  # "0" is the character after "/"
_COUNT = "iif(json_valid(events), json_array_length(events), 1)"
_BEGAN = "iif(json_valid(events), events ->> '$[0][1]', NULL)"
_ENDED = "iif(json_valid(events), events ->> '$[#-1][1]', NULL)"

TRIMS = "SELECT position, at, events, lost, trimmed_at, reason, swept FROM trims"
FIRST_AT = f"SELECT {_BEGAN} FROM runs WHERE last > ? ORDER BY last LIMIT 1"
COUNTED = "SELECT position FROM snapshots WHERE stream = ?"
NEAR = f"SELECT last, {_ENDED} FROM runs WHERE last >= ? ORDER BY last LIMIT 1"
AT = f"SELECT {_ENDED} FROM runs WHERE last <= ? ORDER BY last DESC LIMIT 1"
BATCH = "SELECT batch FROM runs WHERE last > ? ORDER BY last LIMIT 1"

NOTED = "SELECT position, requests FROM open_requests WHERE position <= ? ORDER BY position DESC LIMIT 1"
SURVEY = f"""
WITH rows AS MATERIALIZED (
    SELECT last, stream, events FROM runs WHERE last > ?1 AND last <= ?2 ORDER BY last LIMIT ?3
)
SELECT (SELECT max(last) FROM rows),
       (SELECT json_group_array(json_array(value ->> 0, stream, value ->> 2))
        FROM rows, json_each(iif(json_valid(events), events, '[]'))
        WHERE (stream = 'router' OR {_REQUESTS}) AND value ->> 2 IN (SELECT value FROM json_each(?4)))
"""
NOTE = "INSERT OR REPLACE INTO open_requests (position, requests) VALUES (?, ?)"
BEGIN = (
    "INSERT INTO trims (position, at, events, lost, trimmed_at, reason, swept) "
    "SELECT 0, 0, 0, 0, 0, '', 0 WHERE NOT EXISTS (SELECT 1 FROM trims)"
)
CUT = "UPDATE trims SET position = ?, at = ifnull(?, at), trimmed_at = ?, reason = ?"
SWEPT = "UPDATE trims SET swept = ?"
REMOVED = "UPDATE trims SET events = events + ?, lost = lost + ?"

WERE_OPEN = (
    "SELECT json_group_array(DISTINCT value ->> 0) FROM open_requests, json_each(requests) WHERE position < ?"
)
SWEEP = f"""
WITH rows AS MATERIALIZED (
    SELECT last, stream FROM runs WHERE last > ?1 AND last <= ?2 ORDER BY last LIMIT ?3
)
SELECT (SELECT max(last) FROM rows), (SELECT json_group_array(DISTINCT stream) FROM rows WHERE {_REQUESTS})
"""
OF_STREAMS = f"""
SELECT json_group_array(json_array(stream, count, events)) FROM (
    SELECT stream, count(*) AS count, sum({_COUNT}) AS events FROM runs
    WHERE stream IN (SELECT value FROM json_each(?1)) AND last <= ?2 GROUP BY stream
)
"""
FORGET = "DELETE FROM runs WHERE stream IN (SELECT value FROM json_each(?1)) AND last <= ?2"

OWNERS = f"{NAMES} SELECT json_group_array(name) FROM names WHERE name < 'request/' OR name >= 'request0'"
KEEP = """
INSERT INTO snapshot_history (stream, version, position, at, state)
SELECT stream, version, position, at, state FROM snapshots AS s
WHERE stream IN (SELECT value FROM json_each(?1)) AND position <= ?2 AND at <= ?3
  AND NOT EXISTS (SELECT 1 FROM snapshot_history AS h WHERE h.stream = s.stream AND h.position = s.position)
"""
COVERED = f"""
WITH bases AS MATERIALIZED (
    SELECT name.value AS name, (
        SELECT position FROM snapshot_history WHERE stream = name.value AND position <= ?2 AND at <= ?3
        ORDER BY position DESC LIMIT 1
    ) AS base FROM json_each(?1) AS name
), doomed AS MATERIALIZED (
    SELECT last, {_COUNT} AS events FROM bases JOIN runs ON stream = name AND last <= base LIMIT ?4
)
SELECT json_group_array(last), sum(events) FROM doomed
"""
LOST = """
SELECT ifnull(sum(value -> 4 ->> 'count'), 0) FROM runs, json_each(iif(json_valid(events), events, '[]'))
WHERE last IN (SELECT value FROM json_each(?1)) AND stream = 'router' AND value ->> 2 = ?2
"""
REMOVE = "DELETE FROM runs WHERE last IN (SELECT value FROM json_each(?1))"
UNCOVERED = """
SELECT json_group_array(name.value) FROM json_each(?1) AS name
LEFT JOIN snapshots ON snapshots.stream = name.value
WHERE ifnull(snapshots.at, -1e308) < ?2
  AND EXISTS (SELECT 1 FROM runs WHERE stream = name.value AND last > ifnull(snapshots.position, 0))
"""
PRUNE = """
DELETE FROM snapshot_history WHERE rowid IN (
    SELECT h.rowid FROM snapshot_history AS h WHERE h.position < ?1 AND EXISTS (
        SELECT 1 FROM snapshot_history AS n
        WHERE n.stream = h.stream AND n.position > h.position AND n.position <= ?1 AND n.at <= ?2
    ) LIMIT ?3
)
"""
DROP_NOTES = "DELETE FROM open_requests WHERE position < ?"
