//! A charge point on the crate `ocpp-client`, OCPP 2.1: typed both ways, so what its types forbid is an error here.
//!
//! Environment: CSMS_URL (without the identity), IDENTITY.
//! Standard input, a JSON line each: {"call": ACTION, "payload": {…}}. Its end closes the connection.
//! Standard output, a JSON line each, by "event":
//!   open · answer {action, payload} · error {action, code, message} · command {action, payload, answer}
use ocpp_client::connect_2_1;
use ocpp_client::ocpp_types::validate::Validate;
use serde_json::{Value, from_value, json, to_value};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn say(event: Value) {
    println!("{event}");
}

/// Sends one action through the crate's own types, checked before and after.
macro_rules! send {
    ($client:expr, $action:expr, $payload:expr, $($name:literal => $method:ident),+ $(,)?) => {
        match $action {
            $($name => {
                let request = from_value($payload)?;
                check(&request)?;
                let response = $client.$method(request).await?;
                check(&response)?;
                Ok(to_value(response)?)
            })+
            other => Err(format!("{other} is no action of this charge point").into()),
        }
    };
}

fn check<T: Validate>(message: &T) -> Result<(), Fault> {
    message.validate().map_err(|fault| format!("{fault:?}").into())
}

async fn call(
    client: &ocpp_client::ocpp_2_1::OCPP2_1Client,
    action: &str,
    payload: Value,
) -> Result<Value, Fault> {
    send!(client, action, payload,
        "Authorize" => send_authorize,
        "BootNotification" => send_boot_notification,
        "Heartbeat" => send_heartbeat,
        "StatusNotification" => send_status_notification,
        "TransactionEvent" => send_transaction_event,
    )
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let url = format!("{}/{}", std::env::var("CSMS_URL")?, std::env::var("IDENTITY")?);
    let client = connect_2_1(&url, None).await?;
    client
        .on_get_variables(|request, _| async move {
            let results: Vec<Value> = to_value(&request).unwrap()["getVariableData"]
                .as_array()
                .unwrap()
                .iter()
                .map(|asked| {
                    json!({"attributeStatus": "UnknownVariable", "component": asked["component"],
                           "variable": asked["variable"]})
                })
                .collect();
            let answer = json!({"getVariableResult": results});
            say(json!({"event": "command", "action": "GetVariables", "payload": request, "answer": answer}));
            Ok(from_value(answer).unwrap())
        })
        .await;
    say(json!({"event": "open"}));
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let mut asked: Value = serde_json::from_str(&line)?;
        let action = asked["call"].as_str().unwrap_or_default().to_owned();
        match call(&client, &action, asked["payload"].take()).await {
            Ok(payload) => say(json!({"event": "answer", "action": action, "payload": payload})),
            Err(fault) => {
                say(json!({"event": "error", "action": action, "code": "", "message": fault.to_string()}))
            }
        }
    }
    client.disconnect().await?;
    Ok(())
}
