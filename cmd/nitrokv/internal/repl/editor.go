package repl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ergochat/readline"
)

// An Editor reads lines from a terminal: with the keys of Emacs, a history to search with Ctrl-R, completion by Tab, and
// behind the cursor a hint at what is still to be typed.
type Editor struct {
	rl      *readline.Instance
	tty     *tty
	in      *input
	out     *output
	history *history
	warn    func(error) // of a history that can't be written
	known   func() catalog
	prompt  string
	hinted  bool // there is a hint on the screen
}

// EditorConfig is what an Editor is opened with.
type EditorConfig struct {
	In      *os.File // a terminal
	Out     *os.File // a terminal
	History string   // file; empty: nothing is kept
	Warn    func(error)
}

// OpenEditor takes the terminal over until Close. A history that can't be kept is no reason not to work: Warn is told.
func OpenEditor(cfg EditorConfig) (*Editor, error) {
	t, err := newTTY(cfg.In)
	if err != nil {
		return nil, err
	}
	past, err := openHistory(cfg.History)
	if err != nil {
		cfg.Warn(err)
		past = &history{}
	}
	in := &input{terminal: cfg.In}
	e := &Editor{tty: t, in: in, out: &output{cfg.Out, in}, history: past, warn: cfg.Warn, known: func() catalog { return nil }}
	e.rl, err = readline.NewFromConfig(&readline.Config{
		Stdin: in, Stdout: e.out, Stderr: e.out,
		HistoryLimit: historyLines + 1, HistorySearchFold: true, DisableAutoSaveHistory: true,
		EOFPrompt: "\n",
		Listener:  e.typed, Painter: paint, FuncFilterInputRune: e.key,
		FuncIsTerminal: func() bool { return true }, FuncMakeRaw: t.edit, FuncExitRaw: t.run, FuncGetSize: t.size,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the line editor: %w", err), past.close())
	}
	return e, e.write("\x1b[?2004h")
}

// guide sets where completions and hints come from.
func (e *Editor) guide(known func() catalog) { e.known = known }

// Stop ends a read that is under way with io.EOF. It may be called from any goroutine.
func (e *Editor) Stop() { _ = e.rl.Close() } // what it can't do, Close does

// Close gives the terminal back as it was.
func (e *Editor) Close() error {
	err := e.write("\x1b[?2004l")
	return errors.Join(err, e.rl.Close(), e.tty.restore(), e.history.close())
}

func (e *Editor) write(s string) error {
	_, err := io.WriteString(e.out, s)
	return err
}

// ReadCommand reads the first line of a command.
func (e *Editor) ReadCommand(prompt string) (string, error) {
	// The editor's own list also holds what was changed in old lines, and would save that instead of what was typed.
	e.rl.ResetHistory()
	for _, line := range e.history.lines {
		if err := e.rl.SaveToHistory(line); err != nil {
			return "", fmt.Errorf("fill the history: %w", err)
		}
	}
	return e.read(prompt, completer{e})
}

// ReadText reads a line of a value. Nothing is completed in it: a tab is a tab.
func (e *Editor) ReadText(prompt string) (string, error) {
	e.rl.ResetHistory()
	return e.read(prompt, nil)
}

func (e *Editor) read(prompt string, complete readline.AutoCompleter) (string, error) {
	cfg := e.rl.GetConfig()
	cfg.Prompt, cfg.AutoComplete = prompt, complete
	if err := e.rl.SetConfig(cfg); err != nil {
		return "", fmt.Errorf("set the prompt: %w", err)
	}
	e.prompt = prompt
	line, err := e.rl.ReadLine()
	if errors.Is(err, readline.ErrInterrupt) {
		err = ErrInterrupted
	}
	return e.in.whole(line), err
}

// Remember keeps a line for Ctrl-R, now and in later sessions.
func (e *Editor) Remember(line string) {
	if err := e.history.remember(line); err != nil {
		e.warn(err)
	}
}

// A completer completes commands.
type completer struct{ e *Editor }

// Do is called for a Tab.
func (c completer) Do(line []rune, pos int) (rests [][]rune, shared int) {
	found, word := c.e.known().complete(string(line[:pos]))
	for _, rest := range found {
		rests = append(rests, []rune(rest))
	}
	return rests, len([]rune(word))
}

// key sees each key first. What stands behind the cursor, a hint or the list of a search, must not stay on the screen when
// the line is left. Ctrl-Z does nothing: a process whose parent can't continue it would be lost.
func (e *Editor) key(r rune) (rune, bool) {
	switch r {
	case readline.CharEnter, readline.CharCtrlJ:
		_ = e.write("\x1b[J") // a terminal that can't be written will tell whoever shows the reply
	case readline.CharCtrlZ:
		return 0, false
	}
	return r, true
}

// typed is called after each key and shows the hint.
func (e *Editor) typed(line []rune, pos int, _ rune) ([]rune, int, bool) {
	text := ""
	if e.rl != nil && e.rl.GetConfig().AutoComplete != nil && pos == len(line) {
		text = e.room(string(line), e.known().hint(string(line)))
	}
	switch {
	case text != "":
		_ = e.write("\x1b7\x1b[K\x1b[90m" + text + "\x1b[0m\x1b8") // save the cursor, write in grey, go back
	case e.hinted && pos == len(line):
		_ = e.write("\x1b[K")
	}
	e.hinted = text != ""
	return nil, 0, false
}

// room shortens a hint to what the terminal's line still holds, by whole arguments. A line that is longer than the terminal
// is wide gets none.
func (e *Editor) room(line, text string) string {
	width, _ := e.tty.size()
	left := width - 1 - columns(e.prompt) - columns(line)
	if columns(text) <= left {
		return text
	}
	space, args := "", elements(text)
	if strings.HasPrefix(text, " ") {
		space = " "
	}
	for n := len(args) - 1; n > 0; n-- {
		if short := space + strings.Join(args[:n], " ") + " …"; columns(short) <= left {
			return short
		}
	}
	return ""
}
