package top

import (
	"context"
	"errors"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"
)

// Run shows the table on the terminal until the user ends it, or ctx ends.
func Run(ctx context.Context, f Fabric, every time.Duration) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return errors.New("top needs a terminal; 'arpfabric ports' and 'arpfabric status' print a table once")
	}
	_, err := tea.NewProgram(New(ctx, f, every), tea.WithContext(ctx), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		return nil
	}
	return err
}
