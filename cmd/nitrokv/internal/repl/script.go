package repl

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// A Script reads lines from a pipe or a file, or from a terminal that can't be edited on, for which it shows prompts.
type Script struct {
	in      *bufio.Reader
	prompts io.Writer // nil: nobody sees them
}

// NewScript reads lines of any length from in, and writes prompts to prompts unless that is nil.
func NewScript(in io.Reader, prompts io.Writer) *Script {
	return &Script{bufio.NewReader(in), prompts}
}

// ReadCommand reads a line.
func (s *Script) ReadCommand(prompt string) (string, error) { return s.ReadText(prompt) }

// ReadText reads a line. The last one may lack its newline.
func (s *Script) ReadText(prompt string) (string, error) {
	if s.prompts != nil {
		if _, err := io.WriteString(s.prompts, prompt); err != nil {
			return "", err
		}
	}
	line, err := s.in.ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", err
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// Remember does nothing: a script is its own history.
func (s *Script) Remember(string) {}
