"""Claims about what is to be run, and for how long."""

from small_results import RESULTS, ROWS, index_row
from small_runs import own_configuration

from hypertransformer_tf.experiment import load_experiment
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.row_plan import Speeds, duration_text, episodes_to_train, plan_rows, seconds_of


def test_only_missing_models_are_planned_and_each_file_once():
    rows = [*ROWS[:4], ROWS[3]]
    plans = plan_rows(rows, rows, RESULTS, seeds=2)
    assert [(plan.name, plan.seeds) for plan in plans] == [("b", (1,)), ("c", (0, 1)), ("d", (0, 1))]


def test_a_row_is_measured_on_training_classes_where_any_table_shows_that_whichever_is_asked_for():
    index = [*ROWS[:4], index_row("d", table="table_4")]
    plans = {plan.name: plan for plan in plan_rows(index, ROWS[:4], RESULTS, seeds=2)}
    assert plans["d"].with_training_accuracy and not plans["c"].with_training_accuracy


def test_a_speed_is_kept_and_others_are_scaled_from_the_most_similar(tmp_path):
    speeds = Speeds(tmp_path / "deep" / "speeds.json")
    assert not speeds.any_known(False) and speeds.estimate("a", False, 1.0) is None
    speeds.add("a", False, 100.0, 10.0)
    speeds.add("b", False, 7.0, 1000.0)
    again = Speeds(tmp_path / "deep" / "speeds.json")
    assert again.estimate("a", False, 3.0) == 100.0 and again.estimate("c", False, 20.0) == 50.0
    assert again.estimate("c", False, 2000.0) == 3.5
    assert not again.any_known(True)  # the authors' recipe has other episodes per step


def test_a_file_of_speeds_that_holds_something_else_is_made_anew(tmp_path):
    (tmp_path / "speeds.json").write_text("[]")
    speeds = Speeds(tmp_path / "speeds.json")
    assert not speeds.any_known(False)
    speeds.add("a", False, 100.0, 10.0)
    assert Speeds(tmp_path / "speeds.json").estimate("a", False, 1.0) == 100.0


def test_minutes_take_minutes_and_episodes_their_time():
    assert seconds_of(Budget(minutes=5), None, 0) > 300
    assert seconds_of(Budget(steps=10), None, 80) is None
    assert 0 < seconds_of(Budget(), None, 0) < 300  # nothing is trained
    assert seconds_of(Budget(steps=10), 8.0, 800) - seconds_of(Budget(steps=10), 8.0, 0) == 100
    assert [duration_text(s) for s in (40, 720, 9000, 400_000)] == ["40 s", "12 min", "2.5 h", "4.6 days"]


def test_the_oracles_work_is_counted_in_images_and_that_of_others_in_episodes():
    with own_configuration():
        oracle = load_experiment("paper/omniglot_oracle_8ch.gin")
        other = load_experiment("paper/omniglot_5shot_all_layers_8ch.gin")
    assert episodes_to_train(oracle, Budget()) == 64 * oracle.oracle.steps * oracle.oracle.batch / 400
    assert episodes_to_train(other, Budget()) == 4_000_000 and episodes_to_train(other, Budget(steps=10)) == 80
