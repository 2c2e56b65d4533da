//! SMT-LIB text with stable bytes, so that any other solver can be asked the same question.

use std::fmt::Write as _;

use crate::term::{Script, Term, Var};

/// A whole question: the script, then the terms that must hold together, then `(check-sat)`. `about` lines come
/// first as comments.
pub fn print(script: &Script, question: &[Term], about: &[String]) -> String {
    let mut out = String::new();
    for line in about {
        // A comment ends at the line end, whatever a name holds.
        let clean: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let _ = writeln!(out, "; {clean}");
    }
    out.push_str("(set-logic QF_BV)\n");
    let defined: Vec<Var> = script.definitions.iter().map(|(var, _)| *var).collect();
    for var in script.free() {
        let _ = writeln!(
            out,
            "(declare-const {} {})",
            name(script, var),
            sort(script, var)
        );
    }
    for (var, term) in defined
        .iter()
        .zip(script.definitions.iter().map(|(_, t)| t))
    {
        let _ = write!(out, "(define-fun {} () Bool ", name(script, *var));
        write_term(script, term, &mut out);
        out.push_str(")\n");
    }
    for term in script.assertions.iter().chain(question) {
        out.push_str("(assert ");
        write_term(script, term, &mut out);
        out.push_str(")\n");
    }
    out.push_str("(check-sat)\n");
    out
}

fn width(script: &Script, var: Var) -> u8 {
    script
        .variables
        .get(var.index())
        .map_or(0, |variable| variable.width)
}

fn sort(script: &Script, var: Var) -> String {
    match width(script, var) {
        0 => "Bool".to_owned(),
        width => format!("(_ BitVec {width})"),
    }
}

/// A quoted symbol may hold anything but `|` and `\`.
fn name(script: &Script, var: Var) -> String {
    let name = script
        .variables
        .get(var.index())
        .map_or("", |variable| &variable.name);
    format!("|{}|", name.replace(['|', '\\'], "_"))
}

fn constant(value: u128, width: u8) -> String {
    format!("(_ bv{value} {width})")
}

fn write_term(script: &Script, term: &Term, out: &mut String) {
    match term {
        Term::Const(value) => {
            let _ = write!(out, "{value}");
        }
        Term::Flag(var) => out.push_str(&name(script, *var)),
        Term::Not(inner) => {
            out.push_str("(not ");
            write_term(script, inner, out);
            out.push(')');
        }
        Term::And(terms) => write_list(script, "and", terms, out),
        Term::Or(terms) => write_list(script, "or", terms, out),
        Term::Is(var, value) => {
            let constant = constant(*value, width(script, *var));
            let _ = write!(out, "(= {} {constant})", name(script, *var));
        }
        Term::AtMost(var, value) => {
            let constant = constant(*value, width(script, *var));
            let _ = write!(out, "(bvule {} {constant})", name(script, *var));
        }
        Term::Prefix { var, bits, value } => {
            let all = width(script, *var);
            let low = all.saturating_sub(*bits);
            let wanted = value.checked_shr(u32::from(low)).unwrap_or(0);
            let constant = constant(wanted, all - low);
            let high = all.saturating_sub(1);
            let _ = write!(
                out,
                "(= ((_ extract {high} {low}) {}) {constant})",
                name(script, *var)
            );
        }
        Term::Same(left, right) => {
            let _ = write!(out, "(= {} {})", name(script, *left), name(script, *right));
        }
    }
}

fn write_list(script: &Script, operator: &str, terms: &[Term], out: &mut String) {
    let _ = write!(out, "({operator}");
    for term in terms {
        out.push(' ');
        write_term(script, term, out);
    }
    out.push(')');
}
