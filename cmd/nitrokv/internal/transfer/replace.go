package transfer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Standing is what stands under a name that Replace was called with.
type Standing int

// What may stand there.
const (
	Old     Standing = iota // what was there before, or nothing
	InPlace                 // no regular file: it was written to, after an error perhaps not everything
	New                     // the whole new file; after an error the old one may be back when the machine has lost its power
)

// Replace has a file written by write, in a temporary file beside it that takes its place when it is complete and on
// disk. Whatever happens, under the name stands the old file or the whole new one. What is not a regular file, such as
// a device or a pipe, is written to instead.
func Replace(path string, write func(io.Writer) error) (Standing, error) {
	return replace(path, write, syncFolder)
}

// replace is Replace with a way to make a folder's names durable.
func replace(path string, write func(io.Writer) error, sync func(folder string) error) (Standing, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		real, err = path, nil
	}
	if err != nil {
		return Old, err
	}
	info, err := os.Stat(real)
	if err == nil && !info.Mode().IsRegular() {
		return writeTo(real, write)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Old, err
	}
	folder := filepath.Dir(real)
	temp, err := os.CreateTemp(folder, filepath.Base(real)+".tmp-*") // mode 0600
	if err != nil {
		return Old, fmt.Errorf("make a temporary file beside it: %w", err)
	}
	if err := errors.Join(writeAndSync(temp, write), temp.Close()); err != nil {
		return Old, errors.Join(err, os.Remove(temp.Name()))
	}
	if err := os.Rename(temp.Name(), real); err != nil {
		return Old, errors.Join(err, os.Remove(temp.Name()))
	}
	if err := sync(folder); err != nil {
		return New, fmt.Errorf("make the new name durable: %w", err)
	}
	return New, nil
}

func writeAndSync(f *os.File, write func(io.Writer) error) error {
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

// writeTo writes to something that is there and can't be replaced.
func writeTo(path string, write func(io.Writer) error) (Standing, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return Old, err
	}
	return InPlace, errors.Join(write(f), f.Close())
}

// syncFolder makes a rename in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
