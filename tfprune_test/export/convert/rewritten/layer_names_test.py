from absl.testing import absltest

from tfprune.export.convert.rewritten import layer_names


def graph(*nodes):
    import tensorflow as tf

    found = tf.compat.v1.GraphDef()
    for name, *inputs in nodes:
        found.node.add(name=name, op="NoOp").input.extend(inputs)
    return found


def read(graph):
    return [(node.name, *node.input) for node in graph.node]


class LayerNamesTest(absltest.TestCase):
    def test_scopes_are_the_names_of_layers(self):
        net = graph(
            ("x",),
            ("net_1/net__layer/conv_1/conv__layer/Conv", "x"),
            (
                "net_1/net__layer/conv_1_2/conv_1__layer/Conv",
                "net_1/net__layer/conv_1/conv__layer/Conv",
            ),
            (
                "net_1/net__layer/plus__layer/Add",
                "x:0",
                "^net_1/net__layer/conv_1/conv__layer/Conv",
            ),
        )
        names = layer_names.rewrite(net)
        self.assertEqual(
            read(net),
            [
                ("x",),
                ("net/conv/Conv", "x"),
                ("net/conv_1/Conv", "net/conv/Conv"),
                ("net/plus/Add", "x:0", "^net/conv/Conv"),
            ],
        )
        self.assertEqual(names["x"], "x")
        self.assertEqual(
            names["net_1/net__layer/plus__layer/Add"], "net/plus/Add"
        )

    def test_what_keras_does_around_a_call_belongs_to_the_layer(self):
        net = graph(
            ("net_1/net__layer/a_2/a__layer/Mul",),
            ("net_1/net__layer/a_2/Cast",),
        )
        layer_names.rewrite(net)
        self.assertEqual(read(net), [("net/a/Mul",), ("net/a/Cast",)])

    def test_scopes_of_users_stay(self):
        net = graph(
            ("net_1/net__layer/step_3/Mul",),
            ("net_1/net__layer/b/a_1/a__layer/Mul",),
        )
        layer_names.rewrite(net)
        self.assertEqual(read(net), [("net/step_3/Mul",), ("net/b/a/Mul",)])

    def test_names_stay_unique(self):
        net = graph(
            ("net/a/Mul_1",),
            ("net/a_1/a__layer/Mul",),
            ("net/a_2/a__layer/Mul", "net/a_1/a__layer/Mul:0"),
            ("net/a_3/a__layer_1/Mul",),
        )
        layer_names.rewrite(net)
        self.assertEqual(
            read(net),
            [
                ("net/a/Mul_1",),
                ("net/a/Mul",),
                ("net/a/Mul_2", "net/a/Mul:0"),
                ("net/a/Mul_3",),
            ],
        )

    def test_functions_and_places(self):
        net = graph(("net_1/net__layer/Mul",))
        net.node[0].attr["_class"].list.s.append(b"loc:@net_1/net__layer/Mul")
        function = net.library.function.add()
        function.node_def.add(name="a_1/a__layer/Mul", op="NoOp")
        function.node_def.add(name="b", op="NoOp").input.append(
            "a_1/a__layer/Mul:z:0"
        )
        function.ret["out"] = "a_1/a__layer/Mul:z:0"
        function.signature.name = "body"
        net.node[0].attr["body"].func.name = "body"
        layer_names.rewrite(net)
        self.assertEqual(function.signature.name, "body_of_layers")
        self.assertEqual(net.node[0].attr["body"].func.name, "body_of_layers")
        self.assertEqual(net.node[0].attr["_class"].list.s[0], b"loc:@net/Mul")
        self.assertEqual(function.node_def[1].input[0], "a/Mul:z:0")
        self.assertEqual(function.ret["out"], "a/Mul:z:0")


if __name__ == "__main__":
    absltest.main()
