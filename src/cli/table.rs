//! Text in columns.

/// Lays out rows of cells in columns two spaces apart, each as wide as its widest cell. Columns named in
/// `right` are set flush right: numbers. Spaces at the ends of lines are cut.
pub fn print(rows: &[Vec<String>], right: &[usize]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            match right.contains(&c) {
                true => line += &(pad + cell),
                false => line += &(cell.clone() + &pad),
            }
            line += "  ";
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["POP", "LOAD", ""], vec!["ams", "1", "x"], vec!["é", "12.5k"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|t| t.to_string()).collect()).collect();
        assert_eq!(print(&rows, &[1]), "POP   LOAD\nams      1  x\né    12.5k\n");
        assert_eq!(print(&[], &[]), "");
    }
}
