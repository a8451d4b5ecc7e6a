//! Directives: `$ORIGIN`, `$TTL`, `$INCLUDE` (RFC 1035 section 5.1, RFC 2308 section 4) and `$GENERATE` (BIND's).

use crate::masterfile::generate::Generate;
use crate::masterfile::lex::Lexer;
use crate::masterfile::scanner::{MAX_INCLUDES, Scanner, bad_ttl, too_long};
use crate::masterfile::{Diagnostic, Report, decode, parse_ttl, suggest};
use crate::wire::Name;

impl Scanner<'_> {
    /// Follows the directive that token 0 of the current line is; what is wrong with it goes to `report`.
    pub(super) fn directive(&mut self, report: &mut Report) {
        const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];
        let word = self.token(0);
        let done = match word.text.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.set_origin(),
            "$TTL" => self.set_ttl(),
            "$INCLUDE" => self.include(),
            "$GENERATE" => self.generate(),
            other => {
                let error = self.sources.error(word.span, format!("unknown directive \"{}\"", word.text));
                Err(error.help(match suggest(other, DIRECTIVES) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        format!("directives are {}; a name that starts with $ is written \\$", DIRECTIVES.join(", "))
                    }
                }))
            }
        };
        if let Err(problem) = done {
            report.push(problem);
        }
    }

    /// Checks that a directive has from `least` to `most` arguments.
    fn arguments(&self, least: usize, most: usize, usage: &str) -> Result<(), Diagnostic> {
        let n = self.tokens.len() - 1;
        let (span, message) = if n < least {
            (self.token(n).span.after(), format!("{} needs more arguments", self.token(0).text))
        } else if n > most {
            (self.token(most + 1).span, format!("{} takes no more arguments", self.token(0).text))
        } else {
            return Ok(());
        };
        Err(self.sources.error(span, message).help(format!("it is written: {usage}")))
    }

    fn name_argument(&self, i: usize) -> Result<Name, Diagnostic> {
        let token = self.token(i);
        let state = self.open.last().expect("directives stand in an open file");
        Name::parse(token.text, &state.origin)
            .map_err(|why| self.sources.error(token.span, format!("\"{}\" cannot be an origin: {why}", token.text)))
    }

    fn set_origin(&mut self) -> Result<(), Diagnostic> {
        self.arguments(1, 1, "$ORIGIN name")?;
        let origin = self.name_argument(1)?;
        let state = self.open.last_mut().expect("directives stand in an open file");
        state.origin = origin;
        state.owner_text = (0, 0);
        Ok(())
    }

    fn set_ttl(&mut self) -> Result<(), Diagnostic> {
        self.arguments(1, 1, "$TTL seconds")?;
        let token = self.token(1);
        let ttl = parse_ttl(token.text).ok_or_else(|| bad_ttl(self.sources, token))?;
        self.open.last_mut().expect("directives stand in an open file").default_ttl = Some(ttl);
        Ok(())
    }

    fn include(&mut self) -> Result<(), Diagnostic> {
        self.arguments(1, 2, "$INCLUDE file [origin]")?;
        let token = self.token(1);
        let current = self.open.last().expect("directives stand in an open file");
        let octets = token.octets().map_err(|span| self.sources.error(span, "this escape stands for nothing"))?;
        let written = String::from_utf8_lossy(&octets);
        let path = join(self.sources.name(current.file), &written);
        if self.open.iter().any(|f| **self.sources.name(f.file) == *path) {
            let message = format!("{path} includes itself");
            let chain: Vec<&str> = self.open.iter().map(|f| &**self.sources.name(f.file)).collect();
            return Err(self.sources.error(token.span, message).help(format!("it is open: {}", chain.join(" → "))));
        }
        if self.open.len() > MAX_INCLUDES {
            let message = format!("files include each other more than {MAX_INCLUDES} deep");
            return Err(self.sources.error(token.span, message));
        }
        let origin = if self.tokens.len() > 2 { self.name_argument(2)? } else { current.origin.clone() };
        let mut inner = current.clone();
        (inner.origin, inner.owner_text) = (origin, (0, 0));
        let span = token.span;
        let text = match (self.includes)(&path) {
            Ok(octets) => decode(octets),
            Err(why) => return Err(self.sources.error(span, format!("{path} cannot be included: {why}"))),
        };
        inner.lexer = Lexer::new(&text);
        inner.file = self.sources.add(&path, text).ok_or_else(|| too_long(&path))?;
        self.open.push(inner);
        self.included = true;
        Ok(())
    }

    fn generate(&mut self) -> Result<(), Diagnostic> {
        self.arguments(4, usize::MAX - 1, "$GENERATE start-stop[/step] owner [TTL] [class] type data")?;
        let token = self.token(1);
        let generate = Generate::new(token.text).map_err(|why| {
            self.sources
                .error(token.span, why)
                .help("a range is start-stop or start-stop/step, such as 1-20 or 0-254/2")
        })?;
        self.tokens.drain(..2);
        self.generating = Some(generate);
        Ok(())
    }
}

/// A relative path, joined to the directory of the file it stands in.
pub fn join(including: &str, path: &str) -> String {
    match including.rsplit_once('/') {
        Some((dir, _)) if !path.starts_with('/') => format!("{dir}/{path}"),
        _ => path.into(),
    }
}
