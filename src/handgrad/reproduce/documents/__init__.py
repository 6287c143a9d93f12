"""The tables, figures and claims of the documents, transcribed, one module for each document; and our own records."""

from handgrad.reproduce.documents import cmu_f19, data, records, uva_2020, uva_apr19_a, uva_apr19_b, uva_nov19

ENTRIES = (
    *uva_apr19_a.ENTRIES,
    *uva_apr19_b.ENTRIES,
    *uva_nov19.ENTRIES,
    *uva_2020.ENTRIES,
    *cmu_f19.ENTRIES,
    *data.ENTRIES,
    *records.ENTRIES,
)
