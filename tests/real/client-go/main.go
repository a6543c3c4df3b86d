// A client-go program that speaks Protobuf only: what a controller does in its
// first seconds, against the cluster of $KUBECONFIG. Then a command over SPDY, in a
// pod that whoever serves the cluster answers for.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

func must(err error, what string) {
	if err != nil {
		fmt.Println("FAILED:", what, err)
		os.Exit(1)
	}
}

func expect(ok bool, what string) {
	if !ok {
		must(fmt.Errorf("not as expected"), what)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must(err, "kubeconfig")
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	must(err, "client")

	seen := make(chan string, 16)
	factory := informers.NewSharedInformerFactory(client, 0)
	_, err = factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o interface{}) { report(seen, "added", o) },
		UpdateFunc: func(_, o interface{}) { report(seen, "updated", o) },
		DeleteFunc: func(o interface{}) { report(seen, "deleted", o) },
	})
	must(err, "informer")
	factory.Start(ctx.Done())
	expect(cache.WaitForCacheSync(ctx.Done(), factory.Core().V1().ConfigMaps().Informer().HasSynced), "cache sync")

	maps := client.CoreV1().ConfigMaps("default")
	made, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "watched"},
		Data:       map[string]string{"a": "", "b": "1"}, BinaryData: map[string][]byte{"c": {0, 255}},
	}, metav1.CreateOptions{})
	must(err, "create")
	expect(made.UID != "" && made.Data["b"] == "1" && len(made.BinaryData["c"]) == 2, "created map")
	expect(time.Since(made.CreationTimestamp.Time) < time.Minute, "creation time")
	made.Data["b"] = "2"
	changed, err := maps.Update(ctx, made, metav1.UpdateOptions{})
	must(err, "update")
	_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
	expect(apierrors.IsConflict(err), "conflict of a stale update")
	_, err = maps.Patch(ctx, "watched", types.MergePatchType, []byte(`{"metadata":{"labels":{"l":"v"}}}`), metav1.PatchOptions{})
	must(err, "patch")
	err = maps.Delete(ctx, "watched", metav1.DeleteOptions{Preconditions: metav1.NewRVDeletionPrecondition(changed.ResourceVersion).Preconditions})
	expect(apierrors.IsConflict(err), "conflict of a stale delete")
	must(maps.Delete(ctx, "watched", metav1.DeleteOptions{}), "delete")
	for _, want := range []string{"added ", "updated ", "updated v", "deleted v"} {
		select {
		case got := <-seen:
			expect(got == want, "event "+want+", got "+got)
		case <-ctx.Done():
			must(ctx.Err(), "event "+want)
		}
	}
	_, err = maps.Get(ctx, "watched", metav1.GetOptions{})
	expect(apierrors.IsNotFound(err), "not found")

	one, quarter := int32(1), intstr.FromString("25%")
	_, err = client.AppsV1().Deployments("default").Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &quarter}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "c", Image: "x:1",
					Resources:      corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m")}},
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	must(err, "create deployment")
	for {
		pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		must(err, "list pods")
		if len(pods.Items) == 1 {
			pod := pods.Items[0]
			cpu := pod.Spec.Containers[0].Resources.Requests["cpu"]
			expect(cpu.String() == "100m" && pod.Spec.Containers[0].ReadinessProbe.HTTPGet.Port.IntValue() == 80, "pod")
			expect(pod.OwnerReferences[0].Kind == "ReplicaSet", "owner")
			break
		}
		must(ctx.Err(), "pod of the deployment")
		time.Sleep(20 * time.Millisecond)
	}
	scale, err := client.AppsV1().Deployments("default").GetScale(ctx, "web", metav1.GetOptions{})
	must(err, "scale")
	expect(scale.Spec.Replicas == 1, "scale")

	meta, err := metadata.NewForConfig(config)
	must(err, "metadata client")
	partial, err := meta.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).List(ctx, metav1.ListOptions{})
	must(err, "metadata list")
	expect(len(partial.Items) >= 4, "metadata list")

	leading := make(chan struct{})
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "leader", Namespace: "default"},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: "me"},
	}
	go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { close(leading) }, OnStoppedLeading: func() {}},
	})
	select {
	case <-leading:
	case <-ctx.Done():
		must(ctx.Err(), "leader election")
	}
	run(ctx, config, client)
	fmt.Println("OK")
}

// A command that sends back its input and its own words, and ends with 3.
func run(ctx context.Context, config *rest.Config, client kubernetes.Interface) {
	_, err := client.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       corev1.PodSpec{NodeName: "local", Containers: []corev1.Container{{Name: "c", Image: "x:1"}}},
	}, metav1.CreateOptions{})
	must(err, "create pod")
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name("p").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Command: []string{"cat", "-x"}, Stdin: true, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewSPDYExecutor(config, "POST", url)
	must(err, "executor")
	var out, words bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{
		Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &words,
	})
	var code exec.CodeExitError
	expect(errors.As(err, &code) && code.Code == 3, fmt.Sprintf("exit code 3, got %v", err))
	expect(out.String() == "hello" && words.String() == "cat -x", "output "+out.String()+", "+words.String())
}

func report(seen chan string, what string, object interface{}) {
	if m, ok := object.(*corev1.ConfigMap); ok && m.Name == "watched" {
		seen <- what + " " + m.Labels["l"]
	}
}
