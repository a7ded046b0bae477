// Package kubernetes_test holds that the manifests in this folder fit together. No cluster has a part in it.
package kubernetes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// The keys of Kubernetes' API that the manifests use. No other one may be in them.
type (
	typeMeta struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
	}
	metadata struct {
		Name        string            `yaml:"name"`
		Namespace   string            `yaml:"namespace"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}
	namespace struct {
		typeMeta `yaml:",inline"`
		Metadata metadata `yaml:"metadata"`
	}
	attachmentDefinition struct {
		typeMeta `yaml:",inline"`
		Metadata metadata `yaml:"metadata"`
		Spec     struct {
			Config string `yaml:"config"`
		} `yaml:"spec"`
	}
	configMap struct {
		typeMeta `yaml:",inline"`
		Metadata metadata          `yaml:"metadata"`
		Data     map[string]string `yaml:"data"`
	}
	deployment struct {
		typeMeta `yaml:",inline"`
		Metadata metadata `yaml:"metadata"`
		Spec     struct {
			Replicas int `yaml:"replicas"`
			Strategy struct {
				Type string `yaml:"type"`
			} `yaml:"strategy"`
			Selector labelSelector `yaml:"selector"`
			Template struct {
				Metadata metadata `yaml:"metadata"`
				Spec     podSpec  `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	labelSelector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	podSpec struct {
		Affinity struct {
			PodAffinity struct {
				Required []struct {
					TopologyKey   string        `yaml:"topologyKey"`
					LabelSelector labelSelector `yaml:"labelSelector"`
				} `yaml:"requiredDuringSchedulingIgnoredDuringExecution"`
			} `yaml:"podAffinity"`
		} `yaml:"affinity"`
		InitContainers []container `yaml:"initContainers"`
		Containers     []container `yaml:"containers"`
		Volumes        []struct {
			Name      string `yaml:"name"`
			ConfigMap struct {
				Name string `yaml:"name"`
			} `yaml:"configMap"`
		} `yaml:"volumes"`
	}
	container struct {
		Name            string          `yaml:"name"`
		Image           string          `yaml:"image"`
		ImagePullPolicy string          `yaml:"imagePullPolicy"`
		Command         []string        `yaml:"command"`
		RestartPolicy   string          `yaml:"restartPolicy"`
		SecurityContext securityContext `yaml:"securityContext"`
		StartupProbe    probe           `yaml:"startupProbe"`
		ReadinessProbe  probe           `yaml:"readinessProbe"`
		LivenessProbe   probe           `yaml:"livenessProbe"`
		VolumeMounts    []struct {
			Name      string `yaml:"name"`
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	securityContext struct {
		RunAsNonRoot             bool                `yaml:"runAsNonRoot"`
		AllowPrivilegeEscalation bool                `yaml:"allowPrivilegeEscalation"`
		Capabilities             map[string][]string `yaml:"capabilities"`
		SeccompProfile           map[string]string   `yaml:"seccompProfile"`
	}
	probe struct {
		Exec struct {
			Command []string `yaml:"command"`
		} `yaml:"exec"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
		TimeoutSeconds   int `yaml:"timeoutSeconds"`
	}
)

// manifests are all objects of the example, as they are applied.
type manifests struct {
	namespace    namespace
	definition   attachmentDefinition
	registry     configMap
	applications []deployment
}

func load(t *testing.T) (m manifests) {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			if err := m.add(document); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	return m
}

func (m *manifests) add(document []byte) error {
	var kind typeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	switch kind {
	case typeMeta{"v1", "Namespace"}:
		return decode(document, &m.namespace)
	case typeMeta{"k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"}:
		return decode(document, &m.definition)
	case typeMeta{"v1", "ConfigMap"}:
		return decode(document, &m.registry)
	case typeMeta{"apps/v1", "Deployment"}:
		var d deployment
		err := decode(document, &d)
		m.applications = append(m.applications, d)
		return err
	}
	return fmt.Errorf("%v is not expected here", kind)
}

func decode(document []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(document))
	d.KnownFields(true)
	return d.Decode(into)
}

// TestRegistryIsOfThePods holds that the registry loads, and that each pod gets an address and the MAC that is bound to
// it, on the interface that its sidecar guards.
func TestRegistryIsOfThePods(t *testing.T) {
	m := load(t)
	path := filepath.Join(t.TempDir(), "arpfabric.yaml")
	if err := os.WriteFile(path, []byte(m.registry.Data["arpfabric.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	network := loaded.Networks[0]
	if got, want := network.Attach.String(), "sidecar net1"; got != want { // Multus' name for the first one it adds
		t.Errorf("attached to %s, want %s", got, want)
	}
	bound := map[string]string{}
	for b := range network.Registry.All() {
		bound[b.First.String()] = b.MAC.String()
	}
	given := map[string]string{}
	for _, d := range m.applications {
		address, mac := addressOf(t, d)
		given[address] = mac
	}
	if diff := cmp.Diff(bound, given); diff != "" {
		t.Errorf("bound in the registry (-), given to pods (+):\n%s", diff)
	}
}

// addressOf returns what Multus gives the pod of a deployment.
func addressOf(t *testing.T, d deployment) (address, mac string) {
	t.Helper()
	var networks []struct {
		Name string
		IPs  []string
		MAC  string
	}
	text := d.Spec.Template.Metadata.Annotations["k8s.v1.cni.cncf.io/networks"]
	if err := json.Unmarshal([]byte(text), &networks); err != nil || len(networks) != 1 || len(networks[0].IPs) != 1 {
		t.Fatalf("%s: one network with one address is expected: %s (%v)", d.Metadata.Name, text, err)
	}
	prefix, err := netip.ParsePrefix(networks[0].IPs[0])
	if err != nil {
		t.Fatal(err)
	}
	return prefix.Addr().String(), networks[0].MAC
}

// TestNamesAgree holds that what an object says of another is so.
func TestNamesAgree(t *testing.T) {
	m := load(t)
	var cni struct {
		Name    string
		Plugins []struct {
			Type         string
			Capabilities map[string]bool
		}
	}
	if err := json.Unmarshal([]byte(m.definition.Spec.Config), &cni); err != nil {
		t.Fatal(err)
	}
	if cni.Name != m.definition.Metadata.Name || !cni.Plugins[0].Capabilities["mac"] || !cni.Plugins[0].Capabilities["ips"] {
		t.Errorf("the network %s takes no addresses: %+v", m.definition.Metadata.Name, cni)
	}
	all := []metadata{m.definition.Metadata, m.registry.Metadata}
	for _, d := range m.applications {
		all = append(all, d.Metadata)
		pod := d.Spec.Template
		if diff := cmp.Diff(pod.Metadata.Labels["app"], d.Spec.Selector.MatchLabels["app"]); diff != "" {
			t.Errorf("%s: labels (-), selector (+):\n%s", d.Metadata.Name, diff)
		}
		if len(pod.Spec.Volumes) != 1 || pod.Spec.Volumes[0].ConfigMap.Name != m.registry.Metadata.Name {
			t.Errorf("%s has the volumes %+v", d.Metadata.Name, pod.Spec.Volumes)
		}
	}
	for _, object := range all {
		if object.Namespace != m.namespace.Metadata.Name {
			t.Errorf("%s is in the namespace %q", object.Name, object.Namespace)
		}
	}
}

// TestSidecars holds that each application has the same sidecar, with the privileges it needs and no others.
func TestSidecars(t *testing.T) {
	m := load(t)
	if len(m.applications) != 2 {
		t.Fatalf("%d applications", len(m.applications))
	}
	first := m.applications[0].Spec.Template.Spec.InitContainers
	for _, d := range m.applications {
		pod := d.Spec.Template.Spec
		if diff := cmp.Diff(first, pod.InitContainers); diff != "" || len(first) != 1 {
			t.Fatalf("%s has other sidecars than the first application:\n%s", d.Metadata.Name, diff)
		}
		sidecar := pod.InitContainers[0]
		if sidecar.RestartPolicy != "Always" {
			t.Errorf("%s: the application would wait for its sidecar to end", d.Metadata.Name)
		}
		want := map[string][]string{"drop": {"ALL"}, "add": {"NET_ADMIN", "NET_RAW"}}
		if diff := cmp.Diff(want, sidecar.SecurityContext.Capabilities); diff != "" {
			t.Error(diff)
		}
		for _, p := range []probe{sidecar.StartupProbe, sidecar.ReadinessProbe, sidecar.LivenessProbe} {
			if !slices.Equal(p.Exec.Command, []string{"/usr/bin/arpfabric", "status"}) {
				t.Errorf("%s is probed with %q", d.Metadata.Name, p.Exec.Command)
			}
		}
		for _, app := range pod.Containers {
			if !slices.Contains(app.SecurityContext.Capabilities["drop"], "NET_RAW") {
				t.Errorf("%s has NET_RAW, by which it gets past its sidecar", app.Name)
			}
		}
		if mount := sidecar.VolumeMounts[0]; mount.Name != pod.Volumes[0].Name || mount.MountPath != "/etc/arpfabric" {
			t.Errorf("%s mounts %+v", d.Metadata.Name, mount)
		}
	}
}
