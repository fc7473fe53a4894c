"""Whether one published document may follow another while services are upgraded one by one.

During an upgrade two things happen at once: upgraded consumers read messages that were written before (queued, waiting
in a tier, parked), and consumers that are not upgraded yet read messages that are written from now on. A change is
compatible when both can be read, and when the broker can be given the new topology without a message losing its way.

`schemas` judges one schema against another by `rules`, `messages` the events of two documents, `broker` their
topologies; `verdict` puts them together and `report` shows them. `samples` reads real messages with today's models.
"""
