//! The graph of tests becomes instructions: loads where a register does not hold the value yet, jumps forward only.

use std::{collections::HashMap, ops::Range};

use super::{
    Note,
    graph::{ACCEPT, Compare, Graph, Id, Node, Operand, REJECT},
    values::{Form, Value, Values},
};
use crate::bpf::{Instruction, MEMORY, op};

/// Why a graph is no program.
#[derive(Debug)]
pub(super) struct OutOfMemory {
    /// Where in the expression.
    pub(super) span: Range<usize>,
}

/// What the registers hold on every path to a place, and which words of scratch memory are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registers {
    a: Option<Value>,
    x: Option<Value>,
    written: u16,
}

impl Registers {
    const UNKNOWN: Self = Self {
        a: None,
        x: None,
        written: 0,
    };

    fn merge(known: &mut Option<Self>, here: Self) {
        match known {
            Some(known) => {
                known.a = known.a.filter(|_| known.a == here.a);
                known.x = known.x.filter(|_| known.x == here.x);
                known.written &= here.written;
            }
            None => *known = Some(here),
        }
    }
}

/// A place among the steps of a program; what a step leads to has lower numbers than itself.
type Step = usize;

/// An instruction, and the steps that it leads to: two for a branch, and twice the same for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Move {
    code: u16,
    k: u32,
    to: [Step; 2],
}

/// The steps of a program. Equal instructions that lead to the same are one step, whatever node they are of.
struct Steps {
    moves: Vec<Move>,
    /// The node for which each was made first.
    of: Vec<Id>,
    known: HashMap<Move, Step>,
}

struct Emitter<'v> {
    values: &'v Values,
    registers: Registers,
    body: Vec<Instruction>,
    /// Words that are read before they are written.
    unwritten: u16,
    /// Words of scratch memory that hold variables: the first ones. Arithmetic uses the others, from the last one down.
    variables: usize,
    in_use: usize,
}

/// More words of scratch memory than there are.
struct Full;

/// The instructions of `graph`, each with what it is about, ending in `ret snaplen` and `ret 0`.
pub(super) fn emit(
    graph: &Graph,
    values: &Values,
    variables: usize,
    snaplen: u32,
) -> Result<(Vec<Instruction>, Vec<Note>), OutOfMemory> {
    let mut at: Vec<Option<Registers>> = vec![None; graph.nodes.len()];
    at[graph.entry] = Some(Registers::UNKNOWN);
    let mut emitter = Emitter {
        values,
        registers: Registers::UNKNOWN,
        body: Vec::new(),
        unwritten: 0,
        variables,
        in_use: 0,
    };
    let mut bodies: Vec<Option<Vec<Instruction>>> = vec![None; graph.nodes.len()];
    for id in (ACCEPT + 1..=graph.entry).rev() {
        let Some(registers) = at[id] else {
            continue;
        };
        emitter.registers = registers;
        let done = match graph.nodes[id] {
            Node::End => Ok(()),
            Node::Test { test, .. } => match test.operand {
                Operand::Number(_) => emitter.load_a(test.value),
                Operand::Value(other) => emitter.load_both(test.value, other),
            },
            Node::Store { word, value, .. } => emitter.store(word, value),
        };
        done.map_err(|Full| OutOfMemory {
            span: graph.notes[id].span.clone(),
        })?;
        match graph.nodes[id] {
            Node::End => {}
            Node::Test { holds, fails, .. } => {
                Registers::merge(&mut at[holds], emitter.registers);
                Registers::merge(&mut at[fails], emitter.registers);
            }
            Node::Store { next, .. } => Registers::merge(&mut at[next], emitter.registers),
        }
        bodies[id] = Some(std::mem::take(&mut emitter.body));
    }
    let mut steps = Steps::new(snaplen);
    let mut first: Vec<Step> = (0..graph.nodes.len()).collect();
    for (id, body) in bodies.into_iter().enumerate() {
        if let Some(body) = body {
            first[id] = steps.add_node(graph, id, &body, &first);
        }
    }
    let entry = steps.set_to_zero(emitter.unwritten, first[graph.entry]);
    let instructions = Layout::of(&steps, entry);
    // A test that several loads share is about the one right before it.
    let mut run = None;
    let noted = instructions.into_iter().map(|(instruction, step)| {
        let of = run.unwrap_or(steps.of[step]);
        run = goes_on(instruction.code).then_some(of);
        (instruction, note(graph, instruction, of))
    });
    Ok(noted.unzip())
}

impl Steps {
    /// Both ends of a program: its first steps, numbered as in the graph.
    fn new(snaplen: u32) -> Self {
        let mut steps = Self {
            moves: Vec::new(),
            of: Vec::new(),
            known: HashMap::new(),
        };
        for (end, k) in [(REJECT, 0), (ACCEPT, snaplen)] {
            steps.moves.push(Move {
                code: op::RET_K,
                k,
                to: [end; 2],
            });
            steps.of.push(end);
        }
        steps
    }

    fn add(&mut self, code: u16, k: u32, to: [Step; 2], of: Id) -> Step {
        let step = Move { code, k, to };
        *self.known.entry(step).or_insert_with(|| {
            self.moves.push(step);
            self.of.push(of);
            self.moves.len() - 1
        })
    }

    /// The first step of a node, where those below it have their first steps already.
    fn add_node(&mut self, graph: &Graph, id: Id, body: &[Instruction], first: &[Step]) -> Step {
        let last = match graph.nodes[id] {
            Node::End => id,
            Node::Store { next, .. } => first[next],
            Node::Test { test, holds, fails } => {
                let (by, k) = match test.operand {
                    Operand::Number(k) => (0, k),
                    Operand::Value(_) => (BY_X, 0),
                };
                let code = match test.compare {
                    Compare::Equal => op::JEQ_K,
                    Compare::Greater => op::JGT_K,
                    Compare::GreaterOrEqual => op::JGE_K,
                    Compare::AnyBit => op::JSET_K,
                };
                let [holds, fails] = [first[holds], first[fails]];
                if holds == fails {
                    holds
                } else {
                    self.add(code | by, k, [holds, fails], id)
                }
            }
        };
        let body = body.iter().rev();
        body.fold(last, |next, i| self.add(i.code, i.k, [next; 2], id))
    }

    /// Steps before `entry` that set these words of scratch memory to zero.
    fn set_to_zero(&mut self, words: u16, entry: Step) -> Step {
        if words == 0 {
            return entry;
        }
        let words = (0..MEMORY as u32).filter(|word| words & 1 << word != 0);
        let first = words.fold(entry, |next, word| {
            self.add(op::ST, word, [next; 2], ACCEPT)
        });
        self.add(op::LD_IMM, 0, [first; 2], ACCEPT)
    }
}

/// The next instruction works on what this one leaves in the registers: it neither jumps nor ends, nor stores.
fn goes_on(code: u16) -> bool {
    // The class of an instruction: LD, LDX, ALU, MISC (linux/bpf_common.h).
    matches!(code & 0x07, 0x00 | 0x01 | 0x04 | 0x07)
}

/// What an instruction of a node is about.
fn note(graph: &Graph, instruction: Instruction, id: Id) -> Note {
    let note = &graph.notes[id];
    let what = match instruction.code {
        op::LDX_MSH => "length of the IPv4 header",
        op::LD_LEN | op::LDX_LEN => "length of the packet",
        op::JA | op::RET_K => "",
        _ => note.what,
    };
    Note {
        span: note.span.clone(),
        what,
    }
}

impl Emitter<'_> {
    fn push(&mut self, code: u16, k: u32) {
        self.body.push(Instruction::new(code, k));
    }

    /// A := value.
    fn load_a(&mut self, value: Value) -> Result<(), Full> {
        if self.registers.a == Some(value) {
            return Ok(());
        }
        if self.registers.x == Some(value) {
            self.push(op::TXA, 0);
        } else {
            match self.values.form(value) {
                Form::Number(k) => self.push(op::LD_IMM, k),
                Form::Length => self.push(op::LD_LEN, 0),
                Form::Load { size, k, x } => {
                    if let Some(x) = x {
                        self.load_x(x)?;
                    }
                    self.push(load_code(size, x.is_some()), k);
                }
                Form::HeaderLength(_) => {
                    self.load_x(value)?;
                    self.push(op::TXA, 0);
                }
                Form::Word(word) => {
                    self.read(word);
                    self.push(op::LD_MEM, word.into());
                }
                Form::Negate(inner) => {
                    self.load_a(inner)?;
                    self.push(op::NEG, 0);
                }
                Form::Binary { code, left, right } => {
                    if let Some(k) = self.values.number(right) {
                        self.load_a(left)?;
                        self.push(code, k);
                    } else {
                        self.load_both(left, right)?;
                        self.push(code | BY_X, 0);
                    }
                }
            }
        }
        self.registers.a = Some(value);
        Ok(())
    }

    /// X := value; A is lost unless the value is one that X can load itself.
    fn load_x(&mut self, value: Value) -> Result<(), Full> {
        if self.registers.x == Some(value) {
            return Ok(());
        }
        if self.registers.a == Some(value) {
            self.push(op::TAX, 0);
        } else {
            match self.values.form(value) {
                Form::Number(k) => self.push(op::LDX_IMM, k),
                Form::Length => self.push(op::LDX_LEN, 0),
                Form::HeaderLength(k) => self.push(op::LDX_MSH, k),
                Form::Word(word) => {
                    self.read(word);
                    self.push(op::LDX_MEM, word.into());
                }
                _ => {
                    self.load_a(value)?;
                    self.push(op::TAX, 0);
                }
            }
        }
        self.registers.x = Some(value);
        Ok(())
    }

    /// A := left, X := right.
    fn load_both(&mut self, left: Value, right: Value) -> Result<(), Full> {
        if self.x_loads(right) {
            self.load_a(left)?;
            self.load_x(right)
        } else if self.leaves_x(left) {
            self.load_x(right)?;
            self.load_a(left)
        } else {
            self.load_a(right)?;
            let word = MEMORY
                .checked_sub(self.in_use + 1)
                .filter(|word| *word >= self.variables)
                .ok_or(Full)? as u32;
            self.push(op::ST, word);
            self.in_use += 1;
            let loaded = self.load_a(left);
            self.in_use -= 1;
            loaded?;
            self.push(op::LDX_MEM, word);
            self.registers.x = Some(right);
            Ok(())
        }
    }

    fn store(&mut self, word: u8, value: Value) -> Result<(), Full> {
        self.load_a(value)?;
        self.push(op::ST, word.into());
        self.registers.written |= 1 << word;
        let values = self.values;
        self.registers.x = self
            .registers
            .x
            .filter(|x| values.words(*x) & 1 << word == 0);
        self.registers.a = self
            .registers
            .a
            .filter(|a| values.words(*a) & 1 << word == 0);
        Ok(())
    }

    fn read(&mut self, word: u8) {
        self.unwritten |= !self.registers.written & 1 << word;
    }

    /// X can be given this value without A.
    fn x_loads(&self, value: Value) -> bool {
        matches!(
            self.values.form(value),
            Form::Number(_) | Form::Length | Form::HeaderLength(_) | Form::Word(_)
        )
    }

    /// A can be given this value without X.
    fn leaves_x(&self, value: Value) -> bool {
        match self.values.form(value) {
            Form::Number(_) | Form::Length | Form::Word(_) => true,
            Form::Load { x, .. } => x.is_none(),
            Form::HeaderLength(_) => false,
            Form::Negate(inner) => self.leaves_x(inner),
            Form::Binary { left, right, .. } => {
                self.values.number(right).is_some() && self.leaves_x(left)
            }
        }
    }
}

/// The bit that makes an operation on a constant one on X.
const BY_X: u16 = 0x08;

const fn load_code(size: u8, indexed: bool) -> u16 {
    match (size, indexed) {
        (1, false) => op::LDB_ABS,
        (1, true) => op::LDB_IND,
        (2, false) => op::LDH_ABS,
        (2, true) => op::LDH_IND,
        (_, false) => op::LD_ABS,
        (_, true) => op::LD_IND,
    }
}

/// Instructions from the last one to the first, so that the target of every jump has its place already.
struct Layout<'s> {
    steps: &'s Steps,
    reversed: Vec<(Instruction, Step)>,
    /// For each step, the nearest place that leads to it.
    places: Vec<usize>,
    /// The kernel takes what was not written before a `ret` for unwritten behind it as well.
    uses_memory: bool,
}

/// The farthest that a test can jump.
const FARTHEST: usize = u8::MAX as usize;

impl<'s> Layout<'s> {
    /// The instructions that `entry` leads to, in order.
    fn of(steps: &'s Steps, entry: Step) -> Vec<(Instruction, Step)> {
        let mut wanted = vec![false; steps.moves.len()];
        wanted[entry] = true;
        for step in (0..=entry).rev().filter(|step| *step > ACCEPT) {
            if wanted[step] {
                let [to, or] = steps.moves[step].to;
                (wanted[to], wanted[or]) = (true, true);
            }
        }
        let mut layout = Self {
            steps,
            reversed: Vec::new(),
            places: vec![0; steps.moves.len()],
            uses_memory: steps.moves.iter().any(|step| step.code == op::ST),
        };
        for step in (0..=entry).filter(|step| wanted[*step]) {
            layout.place(step);
        }
        layout.reversed.reverse();
        layout.reversed
    }

    fn place(&mut self, step: Step) {
        let Move { code, k, to } = self.steps.moves[step];
        let [to, or] = to;
        let instruction = if step <= ACCEPT {
            Instruction::new(code, k)
        } else if to == or {
            let [jt, jf] = self.steps.moves[to].to;
            if self.distance(to) == 0 {
            } else if jt == jf {
                self.place_jump(to);
            } else {
                // A branch is as short as a jump to it.
                self.place(to);
            }
            Instruction::new(code, k)
        } else {
            while let Some(far) = [to, or]
                .into_iter()
                .find(|target| self.distance(*target) > FARTHEST)
            {
                self.place_jump(far);
            }
            #[allow(clippy::cast_possible_truncation)]
            let [jt, jf] = [to, or].map(|target| self.distance(target) as u8);
            Instruction::branch(code, k, jt, jf)
        };
        self.places[step] = self.reversed.len();
        self.reversed.push((instruction, step));
    }

    /// An instruction that leads to `target` from nearby.
    fn place_jump(&mut self, target: Step) {
        let end = self.steps.moves[target];
        let instruction = if target <= ACCEPT && !self.uses_memory {
            Instruction::new(end.code, end.k)
        } else {
            #[allow(clippy::cast_possible_truncation)]
            Instruction::new(op::JA, self.distance(target) as u32)
        };
        self.places[target] = self.reversed.len();
        self.reversed.push((instruction, target));
    }

    /// How many instructions stand between the next one and `target`.
    fn distance(&self, target: Step) -> usize {
        self.reversed.len() - 1 - self.places[target]
    }
}
