package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/survey"
	"github.com/spf13/cobra"
)

func newInit() *cobra.Command {
	o := survey.Options{Root: "/"}
	var file, vlan string
	cmd := &cobra.Command{
		Use:   "init BRIDGE",
		Short: "Write a first configuration for a bridge, from what this machine knows about it",
		Long: "Write a configuration for a bridge of this machine: the host's own addresses there, the gateway, network cards and\n" +
			"bonds as uplinks, and the guests that have spoken, from the bridge's forwarding database, the host's neighbours,\n" +
			"and the leases of dnsmasq, libvirt, NetworkManager, LXC, Incus, Kea and ISC dhcpd. A comment at each line\n" +
			"says where it is from. Read it before you use it: init believes every guest.\n\n" +
			"A binding names the port of its guest, unless libvirt, Docker or the kernel make up another name at the guest's\n" +
			"next start, such as vnet3.\n\n" +
			"init sends nothing and needs no privilege, except to read leases that are not public. It never overwrites a file.",
		Example: "  arpfabric init br0\n" +
			"  arpfabric init br0 --classic -o /etc/arpfabric/arpfabric.yaml",
		Args:              takes("BRIDGE"),
		ValidArgsFunction: completeOnce(completeBridges),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.Bridge, o.Now = args[0], time.Now()
			if o.VLAN, err = parseVLAN(vlan); err != nil {
				return usageError{err}
			}
			found, err := survey.Of(o)
			if err != nil {
				return err
			}
			if file == "" {
				return found.Write(cmd.OutOrStdout())
			}
			return writeNewFile(file, found)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "output", "o", "", "write to this `FILE`, which must not exist (default: standard output)")
	cmd.RegisterFlagCompletionFunc("output", completeFiles)
	flags.BoolVar(&o.Classic, "classic", false, "begin with a dry run: mode classic, which changes nothing")
	flags.StringVar(&vlan, "vlan", "", "the `VLAN` of the network, on a bridge whose guests are in several")
	return cmd
}

// parseVLAN returns 0 for "".
func parseVLAN(text string) (uint16, error) {
	const lowest, highest = 1, 4094
	if text == "" {
		return 0, nil
	}
	vlan, err := strconv.ParseUint(text, 10, 16)
	if err != nil || vlan < lowest || vlan > highest {
		return 0, fmt.Errorf("--vlan takes a number from %d to %d, not %q", lowest, highest, text)
	}
	return uint16(vlan), nil
}

// writeNewFile writes a survey to a file that must not exist.
func writeNewFile(path string, s *survey.Survey) error {
	var text bytes.Buffer
	if err := s.Write(&text); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and init overwrites nothing; name another file, and compare", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text.Bytes())
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// completeBridges completes the names of this machine's bridges.
func completeBridges(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	s, err := link.ReadSnapshot()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.Bridges(), cobra.ShellCompDirectiveNoFileComp
}
