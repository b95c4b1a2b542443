"""
Two groups of animals: from event tables to the sentence for the paper
======================================================================

You will compare two groups of six animals. Events lie in recordings, and recordings in
animals: a thousand events of six animals are six independent observations, not a
thousand. It takes a few seconds.
"""


# %%
# The study
# ---------
#
# The tables of a study are simulated here, without movies: one recording of each
# animal, in which the events of treated animals last 1.6 times as long. Amplitudes do
# not differ. For your study, ``astrocast batch study.csv --output study`` runs all
# recordings, and ``Cohort("study").read(columns)`` (``astrocast.study.cohort``) returns
# a table like this one.

from astrocast.simulation.cohort import CohortSettings, simulate_cohort

made = simulate_cohort(
    CohortSettings(seed=4, animals=6, recordings=1, effects={"duration_s": 1.6})
)
events = made.events[["group", "subject", "recording", "duration_s", "peak_dff"]]
print(events.groupby("group").agg({"subject": "nunique", "duration_s": "size"}))

# %%
# Every animal visible
# --------------------
#
# A point is the mean of a recording, its place along the axis is the animal.

from astrocast.plotting.cohort import group_points

labels = ["group", "subject", "recording"]
means = events.groupby(labels)[["duration_s", "peak_dff"]].mean().reset_index()
ax = group_points(means, "duration_s", label="duration (s)")
ax.figure.savefig("groups.png")

# %%
# The comparison
# --------------
#
# A linear mixed model with the animal as random effect. It returns a difference with
# its 95 % confidence interval, the effect size, p, and p corrected for the two
# comparisons of this call.

from astrocast.analysis.statistics import compare_groups

found = compare_groups(events, ["duration_s", "peak_dff"], reference="control")
for comparison in found:
    print(comparison.sentence())

# %%
# The first sentence goes into the paper: it holds the means, the difference with its
# interval, the test, and the numbers of events, recordings and animals. The second
# value does not differ, as simulated.

# %%
# How many animals
# ----------------
#
# The variances between animals, recordings and events of a pilot study say how many
# animals the next study needs, here for a difference of one second.

from astrocast.analysis.sample_size import animals_needed, variance_components

pilot = events.rename(columns={"duration_s": "value"})
variances = variance_components(pilot)
print(variances)
print(animals_needed(variances, 1.0, recordings=1, events=60), "animals per group")

# %%
# The same on the command line, for the directory of a study:
#
# .. code-block:: bash
#
#    astrocast analyze groups study --value duration_s --value peak_dff
#    astrocast analyze power study --value duration_s --difference 1
