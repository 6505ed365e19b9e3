package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Hint files are moved aside and back, so that one folder can be opened both ways.

// hideHints moves a folder's hint files to another one, and returns how many there were.
func hideHints(dir, aside string) (int, error) {
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return 0, fmt.Errorf("a folder for hint files: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, hintPattern))
	if err != nil {
		return 0, fmt.Errorf("look for hint files: %w", err)
	}
	for _, f := range files {
		if err := os.Rename(f, filepath.Join(aside, filepath.Base(f))); err != nil {
			return 0, fmt.Errorf("move a hint file aside: %w", err)
		}
	}
	return len(files), nil
}

// showHints brings them back. One that the store has written anew stays, and the old one goes.
func showHints(dir, aside string) error {
	files, err := filepath.Glob(filepath.Join(aside, hintPattern))
	if err != nil {
		return fmt.Errorf("look for hint files: %w", err)
	}
	for _, f := range files {
		if err := bringBack(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			return fmt.Errorf("bring a hint file back: %w", err)
		}
	}
	return nil
}

func bringBack(from, to string) error {
	if err := os.Link(from, to); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Remove(from)
}
