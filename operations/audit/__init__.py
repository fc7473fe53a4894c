"""The auditor: whether money, stock and messages add up over all services' databases, which it only reads.

In-flight work is no violation. Four things keep it from being taken for one:

- **Along the wave.** An order is read in the order API first, then in payment, inventory and shipping. A service says
  something only after it is committed, so that what is read later has seen all that caused what was read earlier: an
  order that is known as cancelled must have nothing reserved when inventory is asked *after* it. For rows that ask for
  an order it is the other way about: they are read first, and the order API last.
- **One moment.** What can be compared within one database is read from one snapshot of it: stock and its reservations
  change in one transaction, so they agree at every moment.
- **Patience.** Whatever a message on its way would still mend (its retry tiers included) counts only when it has stood
  longer than the grace, which is longer than an order's first deadline. `Kind` says for each kind since when.
- **Two looks.** Nothing is reported that was not found by two readings, one after the other.

What it costs the services: transactions that are read-only, one connection a database, one database at a time,
statements that touch a bounded number of rows by an index and have a time limit. SELECT takes no lock that a service
would wait for. The transactions are short but for one: every few minutes stock is added up, in slices of one snapshot,
between which a running service rests, so that of a million reservations it is half a minute long. An order that is
settled and free of discrepancies is not compared again; the others are, at growing distances. All rows are gone
through about once an hour for those without an order and for anomalies. Whatever else happens to a settled order is
found by an audit that begins anew: a restart, or `./run audit`.
"""
