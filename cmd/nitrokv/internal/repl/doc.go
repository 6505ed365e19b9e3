// Package repl is what "nitrokv cli" does between reading a line and writing a reply: it takes lines apart, collects
// values of several lines, sends commands and shows what comes back.
//
// A Session knows its terminal as two interfaces only, Lines and an io.Writer, so that everything but the terminal itself
// is tested without one. There are two Lines: an Editor (editor.go) edits lines on a terminal, with history, completion
// and hints; a Script (script.go) reads a pipe or a file, without any of them.
//
// # Lines
//
// A line is split as redis-cli does it (tokenise.go). An argument <<WORD stands for the lines that follow, up to one that
// is WORD (heredoc.go). A line that can't be split is shown with a caret under the place, and JSON that somebody forgot
// to quote with the line as it should be typed (jsonhelp.go). help, clear, exit and quit are words of the command line
// itself (words.go).
//
// # Secrets
//
// A line with a password, such as AUTH, is never put into the history and never repeated in a message (secret.go).
//
// # Lost connections
//
// A connection that was closed while nothing was under way is opened again before the next command is sent, once. A
// command whose connection breaks before its reply has come is not sent again: nobody knows whether it was carried out,
// and the message says so (call.go).
package repl
