from service_kit.memo import IdentityMemo


def test_the_same_objects_are_computed_once() -> None:
    calls = []
    memo = IdentityMemo(lambda one, other: calls.append((one, other)) or len(calls), 4)
    one, equal = [1], [1]

    assert [memo(one, one), memo(one, one), memo(one, equal), memo(one, one)] == [1, 1, 2, 1]


def test_what_was_not_asked_for_longest_goes_first() -> None:
    calls = []
    memo = IdentityMemo(lambda item: calls.append(item) or len(calls), 2)
    items = [[0], [1], [2]]
    memo(items[0])
    memo(items[1])
    memo(items[0])
    memo(items[2])

    assert len(memo) == 2
    assert memo(items[0]) == 1
    assert memo(items[1]) == 4
