from radogaga.experiments.anomaly_detection.settings import AS_PUBLISHED, PUBLISHED, Config


def test_the_published_effort_is_the_published_number_of_steps():
    config = Config(published=True)
    assert config.effort("published") == AS_PUBLISHED
    assert config.effort("chosen") == 1
    # 1,839 rows are two batches of 1,024, 20,000 times.
    assert PUBLISHED["thyroid"].steps(AS_PUBLISHED) == 40_000
