package transfer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Replace has a file written by write, in a temporary file beside it that takes its place when it is complete and on
// disk. Whatever happens, under the name stands the old file or the whole new one. What is not a regular file, such as
// a device or a pipe, is written to instead.
func Replace(path string, write func(io.Writer) error) error {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		real, err = path, nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err == nil && !info.Mode().IsRegular() {
		return writeTo(real, write)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	folder := filepath.Dir(real)
	temp, err := os.CreateTemp(folder, filepath.Base(real)+".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make a temporary file beside it: %w", err)
	}
	if err := errors.Join(writeAndSync(temp, write), temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	if err := os.Rename(temp.Name(), real); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncFolder(folder)
}

func writeAndSync(f *os.File, write func(io.Writer) error) error {
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

// writeTo writes to something that is there and can't be replaced.
func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// syncFolder makes a rename in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("make the new name durable: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
