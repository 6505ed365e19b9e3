package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// ErrInterrupted is what Lines return when the user has typed Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// ErrRefused is the cause of what Run and One return when the server has answered a command with an error, or a line was
// no command.
var ErrRefused = errors.New("refused")

// A refusal is an error that is ErrRefused, and whose text says it in the server's words.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return ErrRefused }

// Lines is where a Session's lines come from. They have no newline. At the end io.EOF comes, without a line.
type Lines interface {
	// ReadCommand reads the first line of a command.
	ReadCommand(prompt string) (string, error)

	// ReadText reads a line of a value: nothing in it is completed or remembered.
	ReadText(prompt string) (string, error)

	// Remember keeps a line for later sessions. Lines with passwords are never given to it.
	Remember(line string)
}

// guided are Lines that use what the session knows of the server's commands.
type guided interface{ guide(known func() catalog) }

// Conn is a connection to a server; *resp.Conn is one.
type Conn interface {
	Do(ctx context.Context, args ...string) (resp.Value, error)
	Lost() bool
	Close() error
}

// A Session sends what is typed to one server. Its fields must not change once it is in use.
type Session struct {
	Addr     string // for the prompt and for messages
	Dial     func(ctx context.Context) (Conn, error)
	Lines    Lines // for Run
	Out      io.Writer
	Err      io.Writer // what is no reply
	Pretty   bool      // show replies to people, not to programs
	Terminal bool      // somebody types: prompts, hints about mistakes, Ctrl-C stops a command
	Commands []Command // used until, and unless, the server describes its own

	conn     Conn // nil while there is none
	commands catalog
	asked    bool // whether this connection's server was asked for its commands
	read     int  // lines so far
	line     int  // number of the line in which the command begins, from 1
	ran      int  // commands that were sent or should have been
	failed   int  // of them, those with an error for a reply
}

// Run connects, then reads lines and carries them out until they end or one says exit. On a terminal a command that fails
// is its user's business; elsewhere Run goes on too, but returns ErrRefused in the end.
func (s *Session) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.disconnect()) }()
	s.commands = newCatalog(s.Commands)
	if g, ok := s.Lines.(guided); ok {
		g.guide(func() catalog { return s.commands })
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.loop(ctx); err != nil {
		return err
	}
	if s.failed > 0 && !s.Terminal {
		return &refusal{fmt.Sprintf("%d of %d commands failed", s.failed, s.ran)}
	}
	return nil
}

// loop reads and carries out lines until there are no more.
func (s *Session) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		if s.Terminal {
			s.describe(ctx)
		}
		line, err := s.Lines.ReadCommand(s.prompt())
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrInterrupted):
			continue
		case err != nil:
			return err
		}
		s.read++
		s.line = s.read
		if err := s.run(ctx, line); errors.Is(err, errLeave) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// One carries out a single command. An error reply is returned, not shown. Arguments come from a command line, which is
// no place for passwords: such a command is refused before anything is sent.
func (s *Session) One(ctx context.Context, args []string) (err error) {
	if strings.EqualFold(args[0], "help") {
		text, err := newCatalog(s.Commands).help(args[1:])
		return errors.Join(err, s.write(text))
	}
	if tellsPassword(args) {
		return errors.New("there is a password in the arguments, where every user of this machine can read it; leave the command out and " +
			"name a file with the password with --password-file or set NITROKV_PASSWORD, or give the command to \"nitrokv cli\" on stdin")
	}
	defer func() { err = errors.Join(err, s.disconnect()) }()
	if err := s.connect(ctx); err != nil {
		return err
	}
	v, err := s.conn.Do(ctx, args...)
	if err != nil {
		return err
	}
	if v.Kind == resp.Error {
		text := harmless(v.Text)
		if isNoAuth(text) {
			text += " Name a file with the password with --password-file, or set NITROKV_PASSWORD."
		}
		return &refusal{text}
	}
	return s.show(args, v)
}

// errLeave ends Run.
var errLeave = errors.New("leave")

// run carries out one line. What it returns ends the session.
func (s *Session) run(ctx context.Context, line string) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	secret := isSecret(line)
	if !secret {
		s.Lines.Remember(line)
	}
	tokens, wrong := tokenise(line)
	if wrong != nil {
		return s.malformed(line, secret, wrong)
	}
	typed := texts(tokens)
	// The blocks come first whatever the line is: left unread, the lines of a value would run as commands.
	if err := readBlocks(s.readText, tokens); err != nil {
		return s.unended(err)
	}
	if done, err := s.local(typed); done {
		return err
	}
	return s.command(ctx, line, secret, texts(tokens))
}

// malformed is about a line that can't be split. The blocks that it seems to begin are passed over.
func (s *Session) malformed(line string, secret bool, wrong *complaint) error {
	if json := explainJSON(line); json != nil {
		wrong = json
	}
	block := readBlocks(s.readText, roughTokens(line))
	if err := s.complain(line, secret, wrong); err != nil {
		return err
	}
	return s.unended(block)
}

// readText reads a line of a block.
func (s *Session) readText(prompt string) (string, error) {
	line, err := s.Lines.ReadText(prompt)
	if err == nil {
		s.read++
	}
	return line, err
}

// local carries out the words of the command line itself.
func (s *Session) local(words []string) (done bool, err error) {
	verb := strings.ToLower(words[0])
	switch {
	case verb == "help":
		text, err := s.commands.help(words[1:])
		if err != nil {
			return true, s.fail(err.Error())
		}
		return true, s.write(text)
	case len(words) > 1:
		return false, nil
	case verb == "exit", verb == "quit":
		return true, errLeave
	case verb == "clear":
		if s.Terminal {
			return true, s.write("\x1b[H\x1b[2J")
		}
		return true, nil
	}
	return false, nil
}

// command sends a command and shows its reply, with help if the reply says that it was typed wrongly.
func (s *Session) command(ctx context.Context, line string, secret bool, args []string) error {
	s.ran++
	v, err := s.call(ctx, args)
	if err != nil {
		return s.unanswered(ctx, err)
	}
	if err := s.show(args, v); err != nil || v.Kind != resp.Error {
		s.loggedIn(args, v)
		return err
	}
	s.failed++
	return s.advise(line, secret, args, v.Text)
}

// advise says what to type instead of a command that the server didn't understand.
func (s *Session) advise(line string, secret bool, args []string, text string) error {
	arity, syntax := strings.Contains(text, "wrong number of arguments"), strings.HasPrefix(text, "ERR syntax error")
	if arity || syntax {
		if json := explainJSON(line); json != nil && !secret {
			return s.point(json, line)
		}
	}
	switch usage := s.commands.usageOf(args); {
	case !s.Terminal:
		return nil
	case (arity || syntax) && usage != "":
		return s.write("usage: " + usage + "\n")
	case isNoAuth(text):
		return s.write("log in with AUTH password, or start with --password-file\n")
	}
	return nil
}

// isNoAuth reports whether an error says that a password is missing.
func isNoAuth(text string) bool { return strings.HasPrefix(text, "NOAUTH ") }

// complain shows what is wrong with a line. One with a password is not repeated.
func (s *Session) complain(line string, secret bool, wrong *complaint) error {
	if err := s.fail(wrong.text); err != nil || secret {
		return err
	}
	return s.point(wrong, line)
}

// point shows where in a line something is wrong. Among a script's replies that would be one too many.
func (s *Session) point(wrong *complaint, line string) error {
	if s.Terminal {
		return s.write(wrong.show(line))
	}
	return s.say(strings.TrimSuffix(wrong.show(line), "\n"))
}

// unended is about a block without an end, if err is not nil. On a terminal that was Ctrl-D, and there is a next line;
// elsewhere there is none. After Ctrl-C there is nothing to say.
func (s *Session) unended(err error) error {
	switch {
	case err == nil || errors.Is(err, errAbandoned):
		return nil
	case s.Terminal && errors.Is(err, errUnended):
		return s.fail(err.Error())
	}
	return fmt.Errorf("line %d: %w", s.line, err)
}

// fail counts a line as a failed command and says why.
func (s *Session) fail(why string) error {
	s.ran++
	s.failed++
	if !s.Terminal {
		why = fmt.Sprintf("line %d: %s", s.line, why)
	}
	return s.write("(error) " + why + "\n")
}

// show writes a reply. RESP2 has no kind for text that is meant for people, so the commands that answer it are named.
func (s *Session) show(args []string, v resp.Value) error {
	if v.Kind == resp.Bulk && answersText(args) {
		v.Kind = resp.Verbatim
	}
	if s.Pretty {
		return s.write(pretty(v))
	}
	return s.write(raw(v))
}

func answersText(args []string) bool {
	verb, sub := strings.ToLower(args[0]), ""
	if len(args) > 1 {
		sub = strings.ToLower(args[1])
	}
	return verb == "info" || verb == "lolwut" || verb == "client" && (sub == "list" || sub == "info")
}

func (s *Session) write(text string) error {
	if _, err := io.WriteString(s.Out, text); err != nil {
		return fmt.Errorf("write a reply: %w", err)
	}
	return nil
}

func (s *Session) prompt() string {
	if s.conn == nil {
		return "not connected> "
	}
	return s.Addr + "> "
}
