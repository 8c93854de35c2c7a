// Package book runs the pages of docs/operations as they are written.
//
// A page is read from its first line to its last, and run by one shell (bash) in a directory of its
// own that is empty at first, with reprise in $PATH. The shell has network and processes of its
// own, as root (unshare(1)), so that pages can use any address and make networks. Its directory has
// a link "reprise" to the sources.
//
//   - ```console is what a reader types and sees. A line that begins with "$ " is a command,
//     which goes on in lines that begin with "> ". What follows is what it prints: three dots
//     stand for anything in a line, and alone in a line for any lines. A command without
//     output may print anything. Its exit status must be 0.
//   - Programs in the background write to the same terminal: their logs may have other lines
//     than those that the page shows, which may come in any order. What a command ending in &
//     prints is awaited, and so are logs.
//   - A block whose first line names a file behind the language, such as "```ini edge.ini", is
//     that file from then on.
//   - A block of ini without a name is a part of a configuration: its options must exist.
//
// The first paragraph below the title says whether the page is run: see runVerdict,
// notRunVerdict and referenceVerdict. The page first-hour is a newcomer's first hour.
package book
