//! The sample machines of the emulator's account, the same in every run.

use serde_json::{Value, json};

/// One machine.
pub(crate) struct Machine {
    pub(crate) number: usize,
    pub(crate) kind: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) model: &'static str,
}

const KINDS: [(&str, &str, &str); 6] = [
    ("Excavator", "Nordgrav", "NG 210"),
    ("Wheel loader", "Nordgrav", "L 90"),
    ("Scissor lift", "Hebewerk", "S 1932"),
    ("Telehandler", "Hebewerk", "T 4017"),
    ("Light tower", "Lumen", "LT 6"),
    ("Generator", "Lumen", "G 60"),
];

/// The number of machines.
pub(crate) const COUNT: usize = 42;

/// All machines, ordered by number.
pub(crate) fn machines() -> impl Iterator<Item = Machine> {
    (1..=COUNT).map(|number| {
        let (kind, brand, model) = KINDS[number % KINDS.len()];
        Machine { number, kind, brand, model }
    })
}

impl Machine {
    pub(crate) fn id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.number)
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {:02}", self.kind, self.number)
    }

    fn serial_number(&self) -> String {
        format!("TUEMU{:06}", self.number)
    }

    /// The format of the assets route.
    pub(crate) fn asset(&self) -> Value {
        json!({
            "assetId": self.id(),
            "name": self.name(),
            "type": self.kind,
            "brand": self.brand,
            "model": self.model,
            "serialNumber": self.serial_number(),
            "productionYear": 2015 + self.number % 10,
        })
    }

    /// The format of the fleet route, with the names of ISO 15143-3.
    pub(crate) fn equipment(&self, time: &str) -> Value {
        json!({
            "EquipmentHeader": {
                "OEMName": self.brand,
                "Model": self.model,
                "EquipmentID": self.name(),
                "SerialNumber": self.serial_number(),
            },
            "Location": {
                "Latitude": 55.0 + self.number as f64 / 100.0,
                "Longitude": 10.0 + self.number as f64 / 100.0,
                "datetime": time,
            },
            "CumulativeOperatingHours": { "Hour": 100.5 * self.number as f64, "datetime": time },
        })
    }
}
