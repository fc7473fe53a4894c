"""What deploy/aws promises, as rules over the templates with their parameters filled in. Each yields what breaks it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from devstack.aws.template import Resource

ANYWHERE = ("0.0.0.0/0", "::/0")
Rule = Callable[[Sequence[Resource]], Iterator[str]]

WITHOUT_RESOURCES = {
    "ecr:GetAuthorizationToken": "logs in to the registry as a whole; images are granted one by one",
    "ssm:UpdateInstanceInformation": "the agent of sessions announces its host",
    "ssmmessages:CreateControlChannel": "sessions; who may start one is granted to people",
    "ssmmessages:CreateDataChannel": "as above",
    "ssmmessages:OpenControlChannel": "as above",
    "ssmmessages:OpenDataChannel": "as above",
    "ec2:DescribeInstances": "lists know no resources; the control room is told where its services are",
}
"""Actions that may name every resource, because AWS knows none for them, and what they are for."""


def of_kind(resources: Sequence[Resource], *kinds: str) -> Iterator[Resource]:
    """The resources of these kinds; `EC2::Subnet` stands for `AWS::EC2::Subnet`."""
    return (each for each in resources if each.kind.removeprefix("AWS::") in kinds)


def only_the_api_is_public(resources: Sequence[Resource]) -> Iterator[str]:
    """Only the load balancer, on 443, lets anybody in by address; all others by group."""
    for group in of_kind(resources, "EC2::SecurityGroup"):
        for rule in group.given.get("SecurityGroupIngress", ()):
            if "CidrIp" in rule and (group.name, rule["FromPort"], rule["ToPort"]) != ("BalancerGroup", 443, 443):
                yield f"{group.name} lets {rule['CidrIp']} in"
    for rule in of_kind(resources, "EC2::SecurityGroupIngress"):
        if "SourceSecurityGroupId" not in rule.given:
            yield f"{rule.name} names no group"
    for each in resources:
        if str(each.given.get("PubliclyAccessible", "false")).lower() != "false":
            yield f"{each.name} is publicly accessible"
        if each.given.get("MapPublicIpOnLaunch"):
            yield f"{each.name} gives hosts public addresses"


def clients_speak_tls(resources: Sequence[Resource]) -> Iterator[str]:
    """Version 1.2 or 1.3; there is no port for anything else."""
    for listener in of_kind(resources, "ElasticLoadBalancingV2::Listener"):
        if listener.given["Protocol"] != "HTTPS" or "TLS13-1-2" not in listener.given.get("SslPolicy", ""):
            yield f"{listener.name} speaks something else than TLS 1.2 or 1.3"


def nobody_logs_in_by_ssh(resources: Sequence[Resource]) -> Iterator[str]:
    """No key pair, and no rule that covers port 22."""
    for template in of_kind(resources, "EC2::LaunchTemplate"):
        if "KeyName" in template.given["LaunchTemplateData"]:
            yield f"{template.name} has a key pair"
    for name, rule in _rules_of_groups(resources):
        covered = int(rule.get("FromPort", 0)) <= 22 <= int(rule.get("ToPort", 65535))
        if covered and rule.get("CidrIp") != "127.0.0.1/32":
            yield f"{name} covers port 22"


def data_has_no_way_out(resources: Sequence[Resource]) -> Iterator[str]:
    """The subnets of databases and broker have routes within the VPC alone; hosts are in no public one."""
    tables = {
        each.given["SubnetId"]["Ref"]: each.given["RouteTableId"]["Ref"]
        for each in of_kind(resources, "EC2::SubnetRouteTableAssociation")
    }
    ways_out = {each.given["RouteTableId"]["Ref"]: each.given for each in of_kind(resources, "EC2::Route")}
    public = {subnet for subnet, table in tables.items() if "GatewayId" in ways_out.get(table, {})}
    for subnet in of_kind(resources, "EC2::Subnet"):
        if subnet.name not in tables:
            yield f"{subnet.name} has the VPC's own routes"
    for each in of_kind(resources, "RDS::DBSubnetGroup", "AmazonMQ::Broker"):
        for subnet in each.given["SubnetIds"]:
            if tables.get(subnet["Ref"]) in ways_out:
                yield f"{each.name} is in {subnet['Ref']}, which has a way out"
    for group in of_kind(resources, "AutoScaling::AutoScalingGroup"):
        for subnet in group.given["VPCZoneIdentifier"]:
            if subnet["Ref"] in public:
                yield f"{group.name} is in {subnet['Ref']}, which is public"


def hosts_keep_their_credentials(resources: Sequence[Resource]) -> Iterator[str]:
    """IMDSv2 alone, one hop: out of reach for containers. Disks are encrypted."""
    for template in of_kind(resources, "EC2::LaunchTemplate"):
        data = template.given["LaunchTemplateData"]
        options = data.get("MetadataOptions", {})
        if (options.get("HttpTokens"), options.get("HttpPutResponseHopLimit")) != ("required", 1):
            yield f"{template.name} answers containers, or without a token"
        for disk in data.get("BlockDeviceMappings", [{}]):
            if disk.get("Ebs", {}).get("Encrypted") is not True:
                yield f"{template.name} has a disk that is not encrypted"
    for volume in of_kind(resources, "EC2::Volume"):
        if volume.given.get("Encrypted") is not True:
            yield f"{volume.name} is not encrypted"


def databases_are_kept(resources: Sequence[Resource]) -> Iterator[str]:
    """Encrypted, backed up, protected, with a last snapshot, and by TLS alone."""
    for database in of_kind(resources, "RDS::DBInstance"):
        given = database.given
        if given.get("StorageEncrypted") is not True:
            yield f"{database.name} is not encrypted"
        if int(given.get("BackupRetentionPeriod", 0)) < 1:
            yield f"{database.name} has no backups"
        if str(given.get("DeletionProtection")).lower() != "true" or str(given.get("MultiAZ")).lower() != "true":
            yield f"{database.name} may be deleted, or lives in one zone, by default"
        if {database.around.get("DeletionPolicy"), database.around.get("UpdateReplacePolicy")} != {"Snapshot"}:
            yield f"{database.name} ends without a snapshot"
        if "resolve:secretsmanager" not in str(given.get("MasterUserPassword")):
            yield f"{database.name} has a password that is no secret"
    for parameters in of_kind(resources, "RDS::DBParameterGroup"):
        if parameters.given["Parameters"].get("rds.force_ssl") != "1":
            yield f"{parameters.name} lets clients in without TLS"


def rights_are_small(resources: Sequence[Resource]) -> Iterator[str]:
    """No action by a wildcard; all resources only where AWS knows none, or on a condition; no policies of others."""
    for role in of_kind(resources, "IAM::Role"):
        if role.given.get("ManagedPolicyArns"):
            yield f"{role.name} has rights that somebody else may widen"
    for name, statement in _statements(resources):
        actions, targets = _listed(statement["Action"]), _listed(statement["Resource"])
        if any("*" in action for action in actions):
            yield f"{name} may do {', '.join(actions)}"
        if "*" in targets and "Condition" not in statement:
            yield from (f"{name} may {action} anything" for action in actions if action not in WITHOUT_RESOURCES)


def secrets_stay_with_their_holders(resources: Sequence[Resource]) -> Iterator[str]:
    """Hosts of services read their services' own passwords; only the control host, as set-up, reads the others."""
    allowed = {
        "ServicesRole": {
            f"{service}.Outputs.{what}"
            for service in ("OrderApi", "Payment", "Inventory", "Shipping")
            for what in ("AmqpPassword", "DatabasePassword")
        },
        "BrokerRole": {"AdministratorPassword"},
    }
    for name, statement in _statements(resources):
        if not any(action.startswith("secretsmanager:") for action in _listed(statement["Action"])):
            continue
        for target in _listed(statement["Resource"]):
            told = ".".join(target["Fn::GetAtt"]) if "Fn::GetAtt" in target else target.get("Ref", target)
            if name != "ControlRole" and told not in allowed.get(name, set()):
                yield f"{name} reads {told}"


def logs_end(resources: Sequence[Resource]) -> Iterator[str]:
    """Every log group has a retention."""
    for group in of_kind(resources, "Logs::LogGroup"):
        if not group.given.get("RetentionInDays"):
            yield f"{group.name} is kept for ever"


def updates_roll(resources: Sequence[Resource]) -> Iterator[str]:
    """A group waits for each new host's signal; services keep their number, and start after set-up."""
    for group in of_kind(resources, "AutoScaling::AutoScalingGroup"):
        policy = group.around.get("UpdatePolicy", {}).get("AutoScalingRollingUpdate", {})
        if not policy.get("WaitOnResourceSignals") or "ResourceSignal" not in group.around.get("CreationPolicy", {}):
            yield f"{group.name} does not wait for its hosts to be ready"
        if group.name == "ServicesHosts":
            if policy.get("MinInstancesInService") != {"Ref": "HostsMin"}:
                yield f"{group.name} has fewer hosts than it should while it is updated"
            if "ControlHosts" not in group.around.get("DependsOn", ()):
                yield f"{group.name} may start ahead of set-up"


RULES: tuple[Rule, ...] = (
    only_the_api_is_public,
    clients_speak_tls,
    nobody_logs_in_by_ssh,
    data_has_no_way_out,
    hosts_keep_their_credentials,
    databases_are_kept,
    rights_are_small,
    secrets_stay_with_their_holders,
    logs_end,
    updates_roll,
)


def _rules_of_groups(resources: Sequence[Resource]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for group in of_kind(resources, "EC2::SecurityGroup"):
        for rule in (*group.given.get("SecurityGroupIngress", ()), *group.given.get("SecurityGroupEgress", ())):
            yield group.name, rule
    for rule in of_kind(resources, "EC2::SecurityGroupIngress", "EC2::SecurityGroupEgress"):
        yield rule.name, rule.given


def _statements(resources: Sequence[Resource]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in of_kind(resources, "IAM::Role", "IAM::RolePolicy"):
        documents = [policy["PolicyDocument"] for policy in each.given.get("Policies", ())]
        if "PolicyDocument" in each.given:
            documents.append(each.given["PolicyDocument"])
        for document in documents:
            yield from ((each.name, statement) for statement in document["Statement"])


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]
