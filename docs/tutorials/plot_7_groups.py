"""
Two groups of animals: from twelve recordings to the sentence for the paper
===========================================================================

You will run twelve small recordings in one batch and compare two groups of six animals.
Events lie in recordings, and recordings in animals: a thousand events of six animals
are six independent observations, not a thousand. It takes about a minute.
"""


# %%
# The recordings
# --------------
#
# Simulated here: one movie of each animal, in which the events of treated animals last
# twice as long. ``study.csv`` names recording, group, subject and day. For recordings
# of your own ``astrocast batch --init FOLDER`` writes this table, and you fill it in.

import pandas as pd

from astrocast.simulation import SimulationSettings
from astrocast.simulation.cohort import CohortSettings, write_cohort

animals = CohortSettings(
    seed=4,
    animals=6,
    recordings=1,
    animal_sd=0.1,
    recording_sd=0.05,
    frames=120,
    rows=48,
    columns=48,
    effects={"duration_s": 2.0},
)
movie = SimulationSettings(
    frames=120,
    rows=48,
    columns=48,
    motion=0.0,
    snr=6.0,
    events=4,
    overlap=True,
    border=2.0,
    radius=(2.5, 4.0),
    rise=(1.0, 2.0),
    plateau=(1.0, 3.0),
    decay=(2.0, 4.0),
)
table = write_cohort(animals, "movies", movie)
print(pd.read_csv(table).iloc[[0, 1, 6, 7]])

# %%
# Run them all
# ------------
#
# On the command line:
#
# .. code-block:: bash
#
#    astrocast batch movies/study.csv --output study \
#        --set motion.enabled=false --set conversion.offset=0
#
# A recording that fails does not stop the others, and the same command again computes
# what is missing. Each recording gets a process; ``--workers 0`` takes the present one,
# which is quicker for recordings as small as these.

from astrocast.cli.app import main

words = ["--quiet", "batch", str(table), "--output", "study", "--workers", "0"]
words += ["--set", "motion.enabled=false", "--set", "conversion.offset=0"]
assert main(words) == 0

# %%
# Events of all recordings, with the columns of the table
# -------------------------------------------------------
#
# Look at ``study/report.html`` first: quality, counts and outliers of all recordings.
# ``Cohort`` reads only the columns that you name.

from astrocast.study.cohort import Cohort

labels = ["group", "subject", "recording"]
events = Cohort("study").read([*labels, "duration_s"])
print(events.groupby("group").agg({"subject": "nunique", "duration_s": "size"}))

# %%
# Every animal visible
# --------------------
#
# A point is the mean of a recording, its place along the axis is the animal.

from astrocast.plotting.cohort import group_points

means = events.groupby(labels)[["duration_s"]].mean().reset_index()
ax = group_points(means, "duration_s", label="duration (s)")
ax.figure.savefig("groups.png")

# %%
# The sentence for the paper
# --------------------------
#
# A linear mixed model with animals and recordings as random effects. The sentence holds
# the means, the difference with its 95 % confidence interval, the effect size, p, and
# the numbers of events, recordings and animals.

from astrocast.analysis.statistics import compare_groups

(comparison,) = compare_groups(events, "duration_s", reference="control")
print(comparison.sentence())

# %%
# Only the durations differ in these movies. Other numbers can still show a difference:
# the measured peak and rise depend a little on how long an event is (see what is
# said of errors on the page about physiology). With ``peak_dff`` these twelve
# recordings give a p of about .02 although the amplitudes are equal. Decide before you
# look which number answers your question.
#
# With one animal per group the comparison refuses: the difference between two animals
# is not that between two groups.
#
# How many animals
# ----------------
#
# The variances between animals, recordings and events of a pilot study say how many
# animals the next study needs, here for a difference of one second.

from astrocast.analysis.sample_size import animals_needed, variance_components

variances = variance_components(events.rename(columns={"duration_s": "value"}))
print(variances)
print(animals_needed(variances, 1.0, recordings=1, events=5), "animals per group")

# %%
# The same on the command line:
#
# .. code-block:: bash
#
#    astrocast analyze groups study --value duration_s
#    astrocast analyze power study --value duration_s --difference 1
