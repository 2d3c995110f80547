import keras
import numpy as np
from absl.testing import parameterized

from tfprune.training import rewind


def rates(schedule, count):
    return [float(schedule(step)) for step in range(count)]


class RewoundTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.decay = keras.optimizers.schedules.CosineDecay(0.1, 10)

    def test_a_new_optimizer_starts_at_the_step_it_was_rewound_to(self):
        found = rates(rewind.Rewound(self.decay, to=4), 6)
        np.testing.assert_allclose(found, rates(self.decay, 10)[4:], rtol=1e-6)

    def test_rounds_replay_the_end_of_the_schedule(self):
        rewound = rewind.Rewound(self.decay, to=6, at=[10, 14])
        plain = rates(self.decay, 10)
        expected = plain + plain[6:] + plain[6:]
        np.testing.assert_allclose(rates(rewound, 18), expected, rtol=1e-6)

    def test_it_drives_an_optimizer_and_can_be_saved(self):
        rewound = rewind.Rewound(self.decay, to=6, at=[2])
        optimizer = keras.optimizers.SGD(rewound)
        again = keras.optimizers.deserialize(
            keras.optimizers.serialize(optimizer)
        )
        variable = keras.Variable(np.zeros(1, "float32"))
        optimizer.build([variable])
        seen = []
        for _ in range(4):
            before = float(variable.value[0])
            optimizer.apply([np.ones(1, "float32")])
            seen.append(before - float(variable.value[0]))
        np.testing.assert_allclose(seen, rates(rewound, 4), rtol=1e-4)
        self.assertEqual(again.get_config(), optimizer.get_config())

    @parameterized.parameters(([],), ([5, 2],), ([-1],), 5, None)
    def test_steps_are_checked(self, at):
        with self.assertRaisesRegex(ValueError, "Received: at="):
            rewind.Rewound(self.decay, at=at)

    def test_the_schedule_is_checked(self):
        with self.assertRaisesRegex(ValueError, "Received: schedule=0.1"):
            rewind.Rewound(0.1)

    def test_it_jumps_to_a_step_of_the_schedule(self):
        with self.assertRaisesRegex(ValueError, "Received: to=-1"):
            rewind.Rewound(self.decay, to=-1)
