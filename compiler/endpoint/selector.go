package endpoint

// Selector names the endpoints of a cluster: those of a service port that carry the labels.
type Selector struct {
	Hostname  string            `json:"hostname"`
	Namespace string            `json:"namespace"`
	Port      uint32            `json:"port"`
	PortName  string            `json:"portName,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"` // of the subset
	// Workloads is the selector of the service. With the port of the workload, by number or by name, it says which
	// workloads of the input will be behind the cluster where no endpoints are in the input.
	Workloads      map[string]string `json:"workloads,omitempty"`
	TargetPort     uint32            `json:"targetPort,omitempty"`
	TargetPortName string            `json:"targetPortName,omitempty"`
}
