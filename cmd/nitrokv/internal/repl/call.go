package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// errNotSent marks errors of commands that the server never got.
var errNotSent = errors.New("the command was not sent")

// call sends a command and waits for its reply. If the connection has been closed meanwhile, it is opened again first.
func (s *Session) call(ctx context.Context, args []string) (resp.Value, error) {
	if s.conn != nil && s.conn.Lost() {
		if err := errors.Join(s.disconnect(), s.say("the server has closed the connection; connecting again")); err != nil {
			return resp.Value{}, fmt.Errorf("%w; %w", err, errNotSent)
		}
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return resp.Value{}, fmt.Errorf("%w; %w", err, errNotSent)
		}
	}
	ctx, stop := s.interruptible(ctx)
	defer stop()
	return s.conn.Do(ctx, args...)
}

// interruptible lets Ctrl-C end what somebody at a terminal waits for, and not the program.
func (s *Session) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	if !s.Terminal {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, os.Interrupt)
}

// unanswered deals with a command that got no reply. On a terminal the connection is opened again, once; a script can't go
// on when it isn't known which of its commands were carried out.
func (s *Session) unanswered(ctx context.Context, err error) error {
	s.failed++
	sent := !errors.Is(err, errNotSent)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = ErrInterrupted
	}
	if sent {
		err = fmt.Errorf("%w; whether the command was carried out is not known", err)
	}
	if !s.Terminal {
		return fmt.Errorf("line %d: %w; the lines from there on were not run", s.line, errors.Join(err, s.disconnect()))
	}
	text := "(error) " + err.Error() + "\n"
	if sent {
		text += s.reconnect(ctx)
	}
	return s.write(text)
}

// reconnect opens a new connection and says whether that worked.
func (s *Session) reconnect(ctx context.Context) string {
	err := errors.Join(s.disconnect(), s.connect(ctx))
	if err != nil {
		return "(error) " + err.Error() + "; the next command tries again\n"
	}
	return "connected again\n"
}

func (s *Session) connect(ctx context.Context) error {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	c, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	s.conn, s.asked = c, false
	return nil
}

func (s *Session) disconnect() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// describe asks a new server for its commands, for completion, hints and help. From one that doesn't answer, or not in the
// form of Redis 7, the built-in list stays.
func (s *Session) describe(ctx context.Context) {
	if s.conn == nil || s.asked {
		return
	}
	asking, stop := s.interruptible(ctx)
	defer stop()
	docs, err := s.conn.Do(asking, "COMMAND", "DOCS")
	if err != nil {
		// The reply may still come, so this connection is of no use. Without another one the prompt says so.
		_ = errors.Join(s.disconnect(), s.connect(ctx))
	}
	s.asked = true
	if commands := catalogOf(docs); len(commands) > 0 {
		s.commands = commands
	}
}

// loggedIn forgets that the server was asked for its commands before it would tell.
func (s *Session) loggedIn(args []string, v resp.Value) {
	if verb := strings.ToLower(args[0]); v.Kind != resp.Error && (verb == "auth" || verb == "hello") {
		s.asked = false
	}
}

// say tells the user what is no reply.
func (s *Session) say(text string) error {
	if _, err := io.WriteString(s.Err, text+"\n"); err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}
