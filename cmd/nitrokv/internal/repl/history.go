package repl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// historyLines is how many lines are kept. One of more than historyBytes is not: nobody would edit it again.
const (
	historyLines = 1000
	historyBytes = 4096
)

// A history is the lines that were typed, oldest first, and the file that keeps them for the next session. Only its owner
// may read the file: values are nobody else's business. Sessions that run at the same time append to one file.
type history struct {
	lines []string
	file  *os.File // nil: nothing is kept
}

// openHistory reads the file, makes it and its folder if they are missing, and drops the oldest lines when it has become
// too long. An empty path is a history that nobody keeps.
func openHistory(path string) (*history, error) {
	if path == "" {
		return &history{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the history: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	h := &history{}
	for line := range strings.Lines(string(text)) {
		h.add(strings.TrimSuffix(line, "\n"))
	}
	if strings.Count(string(text), "\n") > 2*historyLines {
		if err := replaceFile(path, strings.Join(h.lines, "\n")+"\n"); err != nil {
			return nil, fmt.Errorf("shorten the history: %w", err)
		}
	}
	h.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	if err := h.file.Chmod(0o600); err != nil { // of a file that something else has made
		return nil, errors.Join(fmt.Errorf("make the history private: %w", err), h.file.Close())
	}
	return h, nil
}

// replaceFile writes a file anew; who reads it meanwhile sees the old one or the new one.
func replaceFile(path, text string) error {
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = next.WriteString(text)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(next.Name()))
	}
	return err
}

// add puts a line at the end of the list, and reports whether it belongs there: not an empty one, nor the same again, nor one
// that is too long.
func (h *history) add(line string) bool {
	if line == "" || len(line) > historyBytes || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	if h.lines = append(h.lines, line); len(h.lines) > historyLines {
		h.lines = slices.Delete(h.lines, 0, len(h.lines)-historyLines)
	}
	return true
}

// remember adds a line to the list and to the file.
func (h *history) remember(line string) error {
	line = strings.TrimSpace(line)
	if !h.add(line) || h.file == nil {
		return nil
	}
	if _, err := h.file.WriteString(line + "\n"); err != nil {
		return fmt.Errorf("write to the history: %w", err)
	}
	return nil
}

func (h *history) close() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}
