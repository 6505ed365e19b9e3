package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A toolbox compiles the C programs of tests/bench against the engine and keeps what they reported.
type toolbox struct {
	bench   *bench
	engines map[string]string // folder with the engine's objects, by extra flag
	reports map[string]report // by command line, or by name of a repeated measurement
}

// A report is what a program printed: one sample or several of each metric.
type report map[string][]float64

func newToolbox(b *bench) *toolbox {
	return &toolbox{bench: b, engines: map[string]string{}, reports: map[string]report{}}
}

// compiler is the C compiler that cgo would take.
func compiler() string {
	if cc := os.Getenv("CC"); cc != "" {
		return cc
	}
	return "cc"
}

// cgoWords returns what stands behind "#cgo KIND:" in the engine, from where cgo reads it, so that
// both build the same.
func cgoWords(root, kind string) ([]string, error) {
	path := filepath.Join(root, "engine", "cgo.go")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line := regexp.MustCompile(`(?m)^\s*(?://)?\s*#cgo ` + kind + `:(.*)$`)
	var words []string
	for _, m := range line.FindAllSubmatch(text, -1) {
		words = append(words, strings.Fields(string(m[1]))...)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%s has no #cgo %s line", path, kind)
	}
	return words, nil
}

// libraries returns the compiler's or the linker's arguments (--cflags, --libs) for what the engine links.
func (t *toolbox) libraries(ctx context.Context, what string) ([]string, error) {
	modules, err := cgoWords(t.bench.root, "pkg-config")
	if err != nil {
		return nil, err
	}
	out, err := output(ctx, t.bench.root, anyCPU, append([]string{"pkg-config", what}, modules...)...)
	if err != nil {
		return nil, fmt.Errorf("ask where the engine's libraries are (make deps-build installs them): %w", err)
	}
	return strings.Fields(string(out)), nil
}

// engine compiles the engine once with an extra flag (or none) and returns the folder of its objects.
func (t *toolbox) engine(ctx context.Context, extra string) (string, error) {
	if dir, ok := t.engines[extra]; ok {
		return dir, nil
	}
	flags, err := cgoWords(t.bench.root, "CFLAGS")
	if err != nil {
		return "", err
	}
	headers, err := t.libraries(ctx, "--cflags")
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(t.bench.root, "engine", "*.c"))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(t.bench.dir, "engine-*")
	if err != nil {
		return "", err
	}
	argv := slices.Concat([]string{compiler()}, flags, headers)
	if extra != "" {
		argv = append(argv, extra)
	}
	argv = append(append(argv, "-c"), sources...)
	if _, err := output(ctx, dir, anyCPU, argv...); err != nil {
		return "", fmt.Errorf("compile the engine: %w", err)
	}
	t.engines[extra] = dir
	return dir, nil
}

// build compiles one program of tests/bench and links it with the engine.
func (t *toolbox) build(ctx context.Context, program, extra string) (string, error) {
	objects, err := t.engine(ctx, extra)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(objects, program)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	linked, err := filepath.Glob(filepath.Join(objects, "*.o"))
	if err != nil {
		return "", err
	}
	libraries, err := t.libraries(ctx, "--libs")
	if err != nil {
		return "", err
	}
	tests := filepath.Join(t.bench.root, "tests")
	argv := []string{compiler(), "-std=gnu11", "-O2", "-I" + filepath.Join(t.bench.root, "engine"), "-I" + filepath.Join(tests, "c"),
		"-o", binary, filepath.Join(tests, "bench", program+".c"), filepath.Join(tests, "c", "collide.c"), "-pthread"}
	if _, err := output(ctx, objects, anyCPU, slices.Concat(argv, linked, libraries)...); err != nil {
		return "", fmt.Errorf("compile %s: %w", program, err)
	}
	return binary, nil
}

// run returns what a program reports, from an earlier run with the same arguments if there was one.
func (t *toolbox) run(ctx context.Context, program, extra string, args ...string) (report, error) {
	line := strings.Join(append([]string{program, extra}, args...), " ")
	if got := t.reports[line]; got != nil {
		return got, nil
	}
	got, err := undisturbed(t.bench, func() (report, error) { return t.runFresh(ctx, program, extra, args...) })
	if err != nil {
		return nil, err
	}
	t.reports[line] = got
	return got, nil
}

func (t *toolbox) runFresh(ctx context.Context, program, extra string, args ...string) (report, error) {
	binary, err := t.build(ctx, program, extra)
	if err != nil {
		return nil, err
	}
	text, err := output(ctx, t.bench.dir, t.bench.serverCPU, append([]string{binary}, args...)...)
	if err != nil {
		return nil, err
	}
	return parseMetrics(text)
}

// runUnpinned is for programs with threads of their own.
func (t *toolbox) runUnpinned(ctx context.Context, program string, args ...string) (report, error) {
	binary, err := t.build(ctx, program, "")
	if err != nil {
		return nil, err
	}
	text, err := output(ctx, t.bench.dir, anyCPU, append([]string{binary}, args...)...)
	if err != nil {
		return nil, err
	}
	return parseMetrics(text)
}

// rounds repeats a measurement as often as the run asks for, once for all the rows that read it, and returns the samples of
// all rounds in one report.
func (t *toolbox) rounds(name string, measure func() (report, error)) (report, error) {
	if got := t.reports[name]; got != nil {
		return got, nil
	}
	all := report{}
	for range t.bench.cfg.rounds {
		one, err := undisturbed(t.bench, measure)
		if err != nil {
			return nil, err
		}
		for metric, samples := range one {
			all[metric] = append(all[metric], samples...)
		}
	}
	t.reports[name] = all
	return all, nil
}

// parseMetrics reads lines of "name value"; "#" begins a comment.
func parseMetrics(text []byte) (report, error) {
	got := report{}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %q is not a name and a value", line)
		}
		value, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		got[fields[0]] = append(got[fields[0]], value)
	}
	return got, nil
}

// pick takes the named metrics' samples out of a report; a missing one is an error, not a zero.
func (r report) pick(names ...string) ([][]float64, error) {
	values := make([][]float64, len(names))
	for i, name := range names {
		if values[i] = r[name]; values[i] == nil {
			return nil, fmt.Errorf("the program did not report %q", name)
		}
	}
	return values, nil
}
