//! An ONNX graph under construction. The same calls give the same bytes.
//!
//! Numbers of fields and of types are those of onnx.proto3 (ONNX IR 10).

use std::{collections::BTreeSet, sync::Arc};

use super::proto::Message;

/// The version of the format: what the operator sets below came with.
const IR_VERSION: i64 = 10;
/// The operators of the default domain, and those of ai.onnx.ml (5 is the first with `TreeEnsemble`).
const OPSETS: [(&str, i64); 2] = [("", 21), (ML, 5)];
/// The domain of operators for trees and tables.
const ML: &str = "ai.onnx.ml";

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elem {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    I64 = 7,
    Text = 8,
    Bool = 9,
    F64 = 11,
}

/// The output of a node, an input of the graph, or a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value(Arc<str>);

impl Value {
    /// Its name.
    pub(super) fn name(&self) -> String {
        self.0.to_string()
    }
}

/// A constant tensor.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    shape: Vec<i64>,
    elem: Elem,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Texts(Vec<String>),
    Raw(Vec<u8>),
}

/// What a node has beside its inputs.
pub(super) enum Attr<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Texts(&'a [&'a str]),
    Tensor(Tensor),
}

/// Numbers that tensors are made of.
pub(super) trait Number: Copy {
    const ELEM: Elem;
    fn put(self, bytes: &mut Vec<u8>);
}

macro_rules! number {
    ($type:ty, $elem:expr) => {
        impl Number for $type {
            const ELEM: Elem = $elem;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}
number!(f32, Elem::F32);
number!(f64, Elem::F64);
number!(u8, Elem::U8);
number!(i8, Elem::I8);
number!(i64, Elem::I64);

impl Number for bool {
    const ELEM: Elem = Elem::Bool;

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
}

impl Tensor {
    /// Numbers, row after row.
    pub(super) fn of<T: Number>(shape: &[usize], values: &[T]) -> Tensor {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let mut bytes = Vec::with_capacity(std::mem::size_of_val(values));
        values.iter().for_each(|value| value.put(&mut bytes));
        Tensor { shape: shape.iter().map(|dim| *dim as i64).collect(), elem: T::ELEM, content: Content::Raw(bytes) }
    }

    fn written(&self, name: Option<&Value>) -> Message {
        let mut tensor = Message::default();
        tensor.ints(1, self.shape.iter().copied());
        tensor.int(2, self.elem as i64);
        if let Content::Texts(texts) = &self.content {
            texts.iter().for_each(|text| tensor.text(6, text));
        }
        if let Some(name) = name {
            tensor.text(8, &name.0);
        }
        if let Content::Raw(bytes) = &self.content {
            tensor.bytes(9, bytes);
        }
        tensor
    }
}

/// A graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Message,
    constants: Message,
    inputs: Message,
    outputs: Message,
    /// Names that are taken by inputs and outputs.
    names: BTreeSet<String>,
    made: u64,
}

impl Graph {
    /// A name of its own that begins with a slash, as no other does.
    fn fresh(&mut self) -> Value {
        self.made += 1;
        Value(format!("/{}", self.made).into())
    }

    /// A name that no other input or output has: this one, if that can be.
    fn named(&mut self, name: &str) -> Value {
        let mut name = if name.is_empty() || name.starts_with('/') { format!("_{name}") } else { name.to_owned() };
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        Value(name.into())
    }

    /// An input: a vector of one cell a row, or a matrix of so many.
    pub(super) fn input(&mut self, name: &str, elem: Elem, width: Option<usize>) -> Value {
        let value = self.named(name);
        self.inputs.message(11, &described(&value, elem, width));
        value
    }

    /// Makes a value an output; returns its name.
    pub(super) fn output(&mut self, name: &str, elem: Elem, width: Option<usize>, value: &Value) -> String {
        let output = self.named(name);
        self.outputs.message(12, &described(&output, elem, width));
        self.node("Identity", &[value], &output, &[]);
        output.0.to_string()
    }

    /// The output of an operator.
    pub(super) fn op(&mut self, op: &str, inputs: &[&Value]) -> Value {
        self.op_with(op, inputs, &[])
    }

    /// The output of an operator with attributes, in the order of their names.
    pub(super) fn op_with(&mut self, op: &str, inputs: &[&Value], attributes: &[(&str, Attr<'_>)]) -> Value {
        let output = self.fresh();
        self.node(op, inputs, &output, attributes);
        output
    }

    fn node(&mut self, op: &str, inputs: &[&Value], output: &Value, attributes: &[(&str, Attr<'_>)]) {
        let mut node = Message::default();
        inputs.iter().for_each(|input| node.text(1, &input.0));
        node.text(2, &output.0);
        node.text(3, &output.0);
        node.text(4, op);
        for (name, attribute) in attributes {
            let mut of = Message::default();
            of.text(1, name);
            let kind = match attribute {
                Attr::Int(value) => {
                    of.int(3, *value);
                    2
                }
                Attr::Tensor(tensor) => {
                    of.message(5, &tensor.written(None));
                    4
                }
                Attr::Ints(values) => {
                    of.ints(8, values.iter().copied());
                    7
                }
                Attr::Texts(values) => {
                    values.iter().for_each(|value| of.text(9, value));
                    8
                }
            };
            of.int(20, kind);
            node.message(5, &of);
        }
        if ["LabelEncoder", "TreeEnsemble"].contains(&op) {
            node.text(7, ML);
        }
        self.nodes.message(1, &node);
    }

    /// A constant.
    pub(super) fn constant<T: Number>(&mut self, shape: &[usize], values: &[T]) -> Value {
        self.keep(&Tensor::of(shape, values))
    }

    /// One number.
    pub(super) fn scalar<T: Number>(&mut self, value: T) -> Value {
        self.constant(&[], &[value])
    }

    /// Texts.
    pub(super) fn texts(&mut self, values: &[String]) -> Value {
        self.keep(&Tensor { shape: vec![values.len() as i64], elem: Elem::Text, content: Content::Texts(values.to_vec()) })
    }

    fn keep(&mut self, tensor: &Tensor) -> Value {
        let value = self.fresh();
        self.constants.message(5, &tensor.written(Some(&value)));
        value
    }

    /// The same numbers in another type.
    pub(super) fn cast(&mut self, value: &Value, to: Elem) -> Value {
        self.op_with("Cast", &[value], &[("to", Attr::Int(to as i64))])
    }

    /// Columns beside each other.
    pub(super) fn concat(&mut self, values: &[&Value]) -> Value {
        match values {
            [one] => (*one).clone(),
            _ => self.op_with("Concat", values, &[("axis", Attr::Int(1))]),
        }
    }

    /// A vector as a matrix of one column.
    pub(super) fn column(&mut self, value: &Value) -> Value {
        let axis = self.constant(&[1], &[1_i64]);
        self.op("Unsqueeze", &[value, &axis])
    }

    /// The sum over columns, which stays a matrix.
    pub(super) fn reduce(&mut self, op: &str, value: &Value, axis: i64, keep: bool) -> Value {
        let axes = self.constant(&[1], &[axis]);
        self.op_with(op, &[value, &axes], &[("keepdims", Attr::Int(i64::from(keep)))])
    }

    /// Which of a matrix's columns is the greatest, row by row; the first of several.
    pub(super) fn greatest(&mut self, value: &Value) -> Value {
        self.op_with("ArgMax", &[value], &[("axis", Attr::Int(1)), ("keepdims", Attr::Int(0))])
    }

    /// The model: the graph, and what is said of it.
    pub(super) fn model(self, facts: &[(&str, String)]) -> Vec<u8> {
        let mut model = Message::default();
        model.int(1, IR_VERSION);
        model.text(2, "sisa");
        model.text(3, env!("CARGO_PKG_VERSION"));
        let mut graph = Message(self.nodes.0);
        graph.text(2, "sisa");
        graph.0.extend(self.constants.0);
        graph.0.extend(self.inputs.0);
        graph.0.extend(self.outputs.0);
        model.message(7, &graph);
        for (domain, version) in OPSETS {
            let mut opset = Message::default();
            opset.text(1, domain);
            opset.int(2, version);
            model.message(8, &opset);
        }
        for (key, value) in facts {
            let mut fact = Message::default();
            fact.text(1, key);
            fact.text(2, value);
            model.message(14, &fact);
        }
        model.0
    }
}

/// A name with its type: `rows`, or `rows x width`.
fn described(value: &Value, elem: Elem, width: Option<usize>) -> Message {
    let mut rows = Message::default();
    rows.text(2, "rows");
    let mut shape = Message::default();
    shape.message(1, &rows);
    if let Some(width) = width {
        let mut columns = Message::default();
        columns.int(1, width as i64);
        shape.message(1, &columns);
    }
    let (mut tensor, mut kind, mut info) = (Message::default(), Message::default(), Message::default());
    tensor.int(1, elem as i64);
    tensor.message(2, &shape);
    kind.message(1, &tensor);
    info.text(1, &value.0);
    info.message(2, &kind);
    info
}
