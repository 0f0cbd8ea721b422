//! The functions of display filters: what each takes and what it gives.

use super::{
    Fault,
    check::{Checker, Make, NUMBER, Operand, hint},
    fields,
    parse::Term,
    value::Class,
};

impl Checker<'_> {
    pub(super) fn call(
        &self,
        name: &str,
        arguments: &[Term],
        term: &Term,
    ) -> Result<Operand, Fault> {
        const NAMES: [&str; 8] = [
            "abs", "count", "len", "lower", "max", "min", "string", "upper",
        ];
        if !NAMES.contains(&name) {
            let message = match fields::exists(name) {
                true => {
                    format!("{name} is no function: put and, or or an operator before the bracket")
                }
                false => match crate::text::near(name, NAMES) {
                    Some(near) => format!("no function is called {name}; did you mean {near}?"),
                    None => format!(
                        "no function is called {name}; there are {}",
                        NAMES.join(", ")
                    ),
                },
            };
            let end = term.at.start + name.len();
            return Err(Fault::new(term.at.start..end, message));
        }
        if matches!(name, "max" | "min") {
            return self.extreme(name, arguments, term);
        }
        let [argument] = arguments else {
            let message = format!("{name}() takes one field");
            return Err(Fault::new(term.at.clone(), message));
        };
        let of = self.field_like(argument)?;
        let class = of.class;
        let wrong = |wanted: &str| {
            let message = format!("{name}() takes {wanted}, and this is {}", class.words());
            Err(Fault::new(argument.at.clone(), message))
        };
        let of = Box::new(of);
        let (class, make) = match name {
            "len" if class == Class::Mark => return wrong("a field with a value"),
            "len" => (NUMBER, Make::Length(of)),
            "count" if !matches!(of.make, Make::Field(..)) => return wrong("a field"),
            "count" => (NUMBER, Make::Count(of)),
            "upper" | "lower" if !class.is_text() => return wrong("text"),
            "upper" => (Class::Text, Make::Upper(of)),
            "lower" => (Class::Text, Make::Lower(of)),
            "string" => match class {
                Class::Number { .. } | Class::Signed | Class::Mac | Class::Ipv4 | Class::Ipv6 => {
                    (Class::Text, Make::Text(of))
                }
                _ => return wrong("a number or an address"),
            },
            _ if class.is_number() || matches!(class, Class::Time | Class::Bool) => {
                (class, Make::Absolute(of))
            }
            _ => return wrong("a number or a time"),
        };
        Ok(Operand { class, make })
    }

    fn extreme(&self, name: &str, arguments: &[Term], term: &Term) -> Result<Operand, Fault> {
        let mut all = Vec::new();
        for argument in arguments {
            let operand = match (all.first(), arguments.first()) {
                (Some(field), Some(first)) => self.operand(argument, Some(&hint(field, first)))?,
                _ => self.field_like(argument)?,
            };
            let first: &Operand = all.first().unwrap_or(&operand);
            if !first.class.compares(operand.class)
                || operand.class.is_bytes()
                || operand.class.is_text()
            {
                let message = format!(
                    "{name}() takes numbers, times or addresses of one kind, and this is {}",
                    operand.class.words()
                );
                return Err(Fault::new(argument.at.clone(), message));
            }
            all.push(operand);
        }
        let Some(first) = all.first() else {
            return Err(Fault::new(
                term.at.clone(),
                format!("{name}() takes at least one field"),
            ));
        };
        Ok(Operand {
            class: first.class,
            make: match name {
                "max" => Make::Greatest(all),
                _ => Make::Least(all),
            },
        })
    }
}
