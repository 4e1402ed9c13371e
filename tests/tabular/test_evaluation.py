"""What scores are worth on labelled rows."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from radogaga import Calibration, InputError
from radogaga.tabular.evaluation import evaluate, read_labels


def test_thresholds_count_what_they_call_alarms():
    random = np.random.RandomState(0)
    scores, is_anomaly = random.normal(size=500), np.arange(500) < 50
    scores[is_anomaly] -= 2
    found = evaluate(Calibration.fit(random.normal(size=999)), scores, is_anomaly)
    assert found.auroc == roc_auc_score(is_anomaly, -scores)
    assert found.auprc == average_precision_score(is_anomaly, -scores)
    assert found.precision_at[50] == is_anomaly[np.argsort(scores)[:50]].mean()
    for cost in found.thresholds:
        assert cost.alarms == (scores < cost.threshold).sum()
        assert cost.hits == (scores[is_anomaly] < cost.threshold).sum()
        assert cost.false_alarms == cost.alarms - cost.hits
    assert found.thresholds[-1].alarms == 50


@pytest.mark.parametrize("words", [("0", "1"), ("False", "true"), ("no", "YES")])
def test_labels_in_common_words_are_read(words):
    assert read_labels(words).tolist() == [False, True]


def test_labels_in_other_words_take_the_name_of_an_anomaly():
    assert read_labels(["ok", "fraud", "ok"], "fraud").tolist() == [False, True, False]
    with pytest.raises(InputError, match=r"'fraud', 'ok'.*--anomaly"):
        read_labels(["ok", "fraud"])


def test_missing_labels_are_refused():
    with pytest.raises(InputError, match="2 have none, row 1 the first"):
        read_labels(["0", None, None])
