package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// wantHints makes sure that the store has written hint files into a folder, and removes them unless they are to stay.
func wantHints(dir string, stay bool) error {
	files, err := filepath.Glob(filepath.Join(dir, hintPattern))
	if err != nil {
		return fmt.Errorf("look for hint files: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has written no file %s into %s", nitroName, hintPattern, dir)
	}
	for _, f := range files {
		if !stay {
			err = errors.Join(err, os.Remove(f))
		}
	}
	return err
}
